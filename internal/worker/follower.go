package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/kit/es"
)

// follower feeds a build by itself in a partition. What is parked changes only in the transactions that move the build's checkpoint there, so
// what was read after the checkpoint holds as long as that is where it was.
type follower struct {
	w         *Worker
	partition int
	build     *build
	at        uint64
	parked    map[unit]bool
}

// follow feeds some of the log, and carries out the operations in it.
func (f *follower) follow(ctx context.Context, records []es.Record) error {
	for len(records) > 0 {
		n, what := f.operation(records)
		if n == 0 {
			if err := f.resolve(ctx, records[0], what); err != nil {
				return err
			}
			records = records[1:]
			continue
		}
		fed, err := f.feed(ctx, records[:n])
		if err != nil {
			return err
		}
		records = records[fed:]
	}
	return nil
}

// operation finds the first operation on something that is parked: its place, or the number of records.
func (f *follower) operation(records []es.Record) (int, *resolution) {
	if len(f.parked) > 0 {
		for i, r := range records {
			if what := f.resolution(r); what != nil {
				return i, what
			}
		}
	}
	return len(records), nil
}

// feed feeds the first of some records in one transaction, and says how many: all, or where that fails half of them, and so on. A single event
// that fails is parked.
func (f *follower) feed(ctx context.Context, records []es.Record) (fed int, err error) {
	select {
	case f.w.standing(f.build).slots <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	begin := time.Now()
	err = f.step(ctx, records, nil)
	<-f.w.standing(f.build).slots
	if err == nil {
		f.w.standing(f.build).wrote(len(records), time.Since(begin))
		return len(records), nil
	}
	var t *trouble
	if !errors.As(err, &t) || ofTable(err) {
		return 0, f.w.identify(ctx, f.share(records, nil), err)
	}
	if half := len(records) / 2; half > 0 {
		return f.feed(ctx, records[:half])
	}
	return 1, f.park(ctx, records[0], err)
}

// park sets an event aside for each row that it fails for.
func (f *follower) park(ctx context.Context, rec es.Record, err error) error {
	failed := map[unit]error{}
	for {
		err = f.w.identify(ctx, f.share([]es.Record{rec}, failed), err)
		e, of := failure.Of(err)
		if !of || !parks(e) {
			return err
		}
		u := f.w.unitOf(f.partition, f.build, rec, e)
		if failed[u] != nil {
			return err // it has been left out already
		}
		failed[u] = e.Err
		if err = f.step(ctx, []es.Record{rec}, failed); err == nil {
			break
		}
	}
	for u, why := range failed {
		f.parked[u] = true
		f.w.log.Error("a row of a read model is parked: what comes for it waits", "projection", f.build.plan.Name, "build", f.build.id,
			"partition", f.partition, "row", u.String(), "whole", u.whole, "position", rec.Position, "stream", rec.Stream, "type", rec.Type, "error", why)
	}
	return nil
}

func (f *follower) share(records []es.Record, failed map[unit]error) *share {
	s := &share{partition: f.partition, records: records, after: f.at}
	if len(f.parked)+len(failed) > 0 {
		s.hold = &hold{parked: f.parked, failed: failed}
	}
	return s
}

// step feeds records in one transaction. failed is what their only event fails for.
func (f *follower) step(ctx context.Context, records []es.Record, failed map[unit]error) error {
	s := f.share(records, failed)
	return f.write(ctx, s, s.last(), func(q *pgx.Batch) {
		if s.hold != nil {
			queueSpots(q, f.build, f.partition, s.hold.spots)
		}
	})
}

// write folds a share and moves the build's checkpoint to a record, in one transaction with what further queues.
func (f *follower) write(ctx context.Context, s *share, upto es.Record, further func(*pgx.Batch)) error {
	if err := f.w.touchOne(s, f.build); err != nil {
		return err
	}
	t := &transaction{w: f.w, shares: []*share{s}, limits: forApart, whole: s.hold != nil}
	err := f.w.transact(ctx, f.w.aparts, t, func(ctx context.Context) error {
		q := f.w.opening(forApart, false)
		opened := q.Len()
		q.Queue(`update daybook.projection_checkpoint set position = $1, recorded_at = greatest(recorded_at, $2)
			where build = $3 and part = $4 and position = $5 returning part`, int64(upto.Position), upto.Created, f.build.id, f.partition, int64(f.at)) //nolint:gosec // positions stay below 2^63
		err := t.advance(ctx, q, func(res pgx.BatchResults) error {
			if err := exec(res, opened); err != nil {
				return err
			}
			tag, err := res.Exec()
			if err == nil && tag.RowsAffected() == 0 {
				err = errMoved
			}
			return err
		})
		if err != nil {
			return err
		}
		return t.post(ctx, further)
	})
	if err == nil {
		f.at = upto.Position
	}
	return err
}

// resolution is an operation on something that is parked.
type resolution struct {
	unit

	skips uint64 // the position that is left out; 0: none
}

// resolution is what a record asks of the build; nil: nothing.
func (f *follower) resolution(r es.Record) *resolution {
	var what operation.RowSkipped // which has all that a retry has
	switch {
	case r.Type != (operation.RowSkipped{}).EventType() && r.Type != (operation.RowRetried{}).EventType():
		return nil
	case json.Unmarshal(r.Data, &what) != nil || what.Projection != f.build.plan.Name:
		return nil
	}
	found := &resolution{unit: unit{whole: what.Whole}}
	found.Key.Key, found.Suffix = what.Key, what.Suffix
	if !f.parked[found.unit] {
		return nil
	}
	if r.Type == (operation.RowSkipped{}).EventType() {
		found.skips = what.Position
	}
	return found
}

// resolve folds what is parked of a unit, but for what is skipped, as far as that goes. Of what fails the unit stays parked.
func (f *follower) resolve(ctx context.Context, op es.Record, what *resolution) error {
	positions, err := f.positions(ctx, what.unit)
	if err != nil {
		return err
	}
	if skipped := slices.Index(positions, what.skips); skipped >= 0 {
		positions = slices.Delete(positions, skipped, skipped+1)
	}
	records, err := f.w.recordsAt(ctx, positions)
	if err != nil {
		return err
	}
	var why error
	for n := len(records); ; {
		s := &share{partition: f.partition, records: records[:n], hold: &hold{parked: maps.Clone(f.parked), only: &what.unit}}
		delete(s.hold.parked, what.unit)
		if n > 0 {
			s.after = records[0].Position - 1
		}
		err := f.write(ctx, s, op, func(q *pgx.Batch) {
			f.queueResolved(q, what, records, n, why)
			queueSpots(q, f.build, f.partition, s.hold.spots)
		})
		if err == nil {
			if n == len(records) {
				delete(f.parked, what.unit)
			}
			f.w.log.Info("a parked row was worked on", "projection", f.build.plan.Name, "partition", f.partition, "row", what.String(), "folded", n, "left", len(records)-n, "skipped", what.skips)
			return nil
		}
		var t *trouble
		if !errors.As(err, &t) || ofTable(err) || n == 0 {
			return f.w.identify(ctx, s, err)
		}
		err = f.w.identify(ctx, s, err)
		e, of := failure.Of(err)
		if !of || !parks(e) {
			return err
		}
		if n = slices.IndexFunc(records, func(r es.Record) bool { return r.Position == e.Position }); n < 0 {
			return err
		}
		why = e.Err
	}
}

// queueResolved takes what was folded or skipped off the unit, and says why the next event fails, if one does.
func (f *follower) queueResolved(q *pgx.Batch, what *resolution, records []es.Record, n int, why error) {
	done := []int64{int64(what.skips)} //nolint:gosec // positions stay below 2^63
	for _, r := range records[:n] {
		done = append(done, int64(r.Position)) //nolint:gosec // likewise
	}
	const row = ` where build = $1 and part = $2 and key = $3 and suffix = $4 and whole = $5`
	q.Queue(`delete from daybook.projection_parked`+row+` and position = any($6)`, f.build.id, f.partition, what.Key.Key, what.Suffix, what.whole, done)
	if n < len(records) {
		q.Queue(`update daybook.projection_parked set error = $7`+row+` and position = $6`,
			f.build.id, f.partition, what.Key.Key, what.Suffix, what.whole, int64(records[n].Position), kept(why.Error())) //nolint:gosec // likewise
	}
}

// positions of what is parked of a unit, in order.
func (f *follower) positions(ctx context.Context, u unit) ([]uint64, error) {
	rows, err := f.w.aparts.Query(ctx, `select position from daybook.projection_parked
		where build = $1 and part = $2 and key = $3 and suffix = $4 and whole = $5 order by position`, f.build.id, f.partition, u.Key.Key, u.Suffix, u.whole)
	if err != nil {
		return nil, fmt.Errorf("reading what is parked: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[uint64])
	if err != nil {
		return nil, fmt.Errorf("reading what is parked: %w", err)
	}
	return all, nil
}

// recordsAt reads some events of the log.
func (w *Worker) recordsAt(ctx context.Context, positions []uint64) ([]es.Record, error) {
	records := make([]es.Record, 0, len(positions))
	for _, at := range positions {
		for r, err := range w.cfg.Log.ReadAll(ctx, at-1) {
			if err != nil {
				return nil, fmt.Errorf("reading event %d, which is parked: %w", at, err)
			}
			if r.Position == at {
				records = append(records, r)
			}
			break
		}
		if n := len(records); n == 0 || records[n-1].Position != at {
			return nil, fmt.Errorf("the event store does not have event %d, which is parked", at)
		}
	}
	return records, nil
}
