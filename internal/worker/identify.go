package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/internal/postgres"
)

// identify gives the error of a share the identity that it can be given: an outage of Postgres, or the event and the row that are to blame.
// Where Postgres refuses rows it says at most which table: the share is then tried one event and one row at a time, and taken back.
func (w *Worker) identify(ctx context.Context, s *share, err error) error {
	if _, known := failure.Of(err); known || ctx.Err() != nil {
		return err
	}
	if postgres.Unreachable(err) {
		return &failure.Outage{Server: "Postgres", Err: err}
	}
	t, ok := errors.AsType[*trouble](err)
	if !ok || t.partition == everywhere && !ofData(err) {
		return err
	}
	for _, b := range t.builds {
		found := w.narrow(ctx, s, b)
		if e, ok := failure.Of(found); ok {
			return fmt.Errorf("writing the projections' rows of partition %d: %w", s.partition, e)
		}
	}
	return err // it has passed, or another session is in the way
}

// narrow looks for the first event and row that a build fails at. Its transaction is always taken back.
func (w *Worker) narrow(ctx context.Context, s *share, b *build) error {
	t := &transaction{w: w, shares: []*share{s}, limits: forApart, careful: true, whole: true}
	return w.transact(ctx, w.aparts, t, func(ctx context.Context) error {
		begin := w.opening(forApart, false)
		opened := begin.Len()
		begun := func(res pgx.BatchResults) error { return exec(res, opened) }
		after := s.after
		for i := range s.records {
			one := &share{partition: s.partition, records: s.records[i : i+1], after: after, hold: s.hold}
			if err := w.touchOne(one, b); err != nil {
				return err
			}
			if len(one.folds) == 0 {
				after = s.records[i].Position
				continue
			}
			t.shares = []*share{one}
			if err := t.advance(ctx, begin, begun); err != nil {
				return t.at(one, "", err)
			}
			begin, opened, after = &pgx.Batch{}, 0, s.records[i].Position
			if err := t.singly(ctx, one); err != nil {
				return err
			}
		}
		return errNothing
	})
}

// errNothing takes back a transaction in which nothing failed.
var errNothing = errors.New("nothing fails")

// singly folds a share of one event and writes its rows one by one.
func (t *transaction) singly(ctx context.Context, s *share) error {
	for _, f := range s.folds {
		if err := f.apply(t.conn.Conn().TypeMap(), s.after); err != nil {
			return t.at(s, "", err)
		}
		for _, r := range f.order {
			one := *f
			one.order = []*row{r}
			b := &pgx.Batch{}
			table{f.build, []*fold{&one}}.queueRows(b)
			b.Queue(checked)
			n := b.Len()
			err := send(ctx, t.conn, b, func(res pgx.BatchResults) error { return exec(res, n) })
			if err != nil {
				return t.at(s, r.key.String(), blame(t.conn.Conn(), f.build, err))
			}
		}
	}
	return nil
}

// at is the failure of a share of one event, whose only row is the one to blame if there is one.
func (t *transaction) at(s *share, row string, err error) error {
	if _, known := failure.Of(err); known || postgres.Unreachable(err) || t.conn.Conn().IsClosed() || ofTable(err) || len(s.folds) != 1 {
		return err
	}
	if f := s.folds[0]; row == "" && len(f.order) == 1 {
		row = f.order[0].key.String()
	}
	return failure.At(s.folds[0].build.who(), s.records[0], row, err)
}
