package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/kit/es"
)

// patience bounds one transaction, so that a connection without answers does not hold its partition without end.
const patience = time.Minute

// Apply implements feed.Consumer. It feeds the members of the partition's group; the other builds go by themselves.
func (w *Worker) Apply(ctx context.Context, partition int, after uint64, records []es.Record) error {
	begin := time.Now()
	s := &share{partition: partition, records: records, after: after}
	err := w.turns.Do(ctx, s)
	if err != nil {
		return w.identify(ctx, s, err)
	}
	w.metrics.seconds.Observe(time.Since(begin).Seconds())
	return nil
}

// applyAll writes batches of several partitions in one transaction. A build that this fails for leaves the group, if the same
// batch can be written without it.
func (w *Worker) applyAll(ctx context.Context, shares []*share) error {
	a := &attempt{w: w, shares: shares, out: map[*build]error{}, limits: w.tolerance.tables}
	for tries := 0; ; tries++ {
		err := a.write(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || tries > 2*len(w.builds)+3 {
			return err
		}
		var (
			t       *trouble
			unclear *unclear
		)
		switch {
		case errors.Is(err, errMoved):
			if err := w.settleMoved(ctx, shares); err != nil {
				return err
			}
		case errors.As(err, &t):
			if !a.spare(t) {
				return err
			}
		case errors.As(err, &unclear) && !a.careful:
			a.careful = true
		default:
			return err
		}
	}
}

// attempt is one batch's way into Postgres, with fewer builds each time it fails for one.
type attempt struct {
	w       *Worker
	shares  []*share
	out     map[*build]error // who leaves the groups of all shares that touch it
	limits  limits
	patient bool // Postgres is slow for all
	careful bool
}

// spare leaves out the builds that a batch failed for. False says that it cannot go on without them.
func (a *attempt) spare(t *trouble) bool {
	if len(a.shares) > 1 && (t.partition != everywhere || ofData(t.err)) {
		return false // each share for itself: it is one partition's events that are to blame
	}
	fresh := false
	for _, b := range t.builds {
		if _, have := a.out[b]; !have {
			a.out[b], fresh = t, true
		}
	}
	late := 0
	for _, err := range a.out {
		if code(err) == queryCanceled {
			late++
		}
	}
	if late > 1 && 2*late > len(a.w.builds) && !a.patient { // it is slow for all, so none of them is the reason
		a.patient, a.limits, a.out = true, forOne, map[*build]error{}
	}
	return fresh
}

// write is one transaction.
func (a *attempt) write(ctx context.Context) error {
	begin, lasting := time.Now(), false
	for _, s := range a.shares {
		if err := a.w.members(ctx, s, a.out); err != nil {
			return err
		}
		lasting = lasting || len(s.leaving) > 0
	}
	t := &transaction{w: a.w, shares: a.shares, limits: a.limits, careful: a.careful, watched: a.w.long.Load(), whole: lasting}
	shared := slices.ContainsFunc(a.shares, func(s *share) bool { return len(s.group.members)-len(s.leaving) > 1 })
	if !shared {
		t.limits = forOne
	}
	var moved map[int]int64
	err := a.w.transact(ctx, a.w.writers, t, func(ctx context.Context) error {
		b := a.w.opening(forCheckpoint, lasting)
		opened := b.Len()
		moves := t.queueMoves(b)
		err := t.advance(ctx, b, func(res pgx.BatchResults) (err error) {
			if err = exec(res, opened); err == nil {
				moved, err = t.takeMoves(res, moves)
			}
			return err
		})
		if err != nil {
			return err
		}
		return t.post(ctx)
	})
	if err != nil {
		return err
	}
	for _, s := range a.shares {
		for _, b := range s.leaving {
			a.w.log.Warn("a read model leaves the common transaction and is fed by itself", "projection", b.plan.Name, "build", b.id,
				"partition", s.partition, "error", a.out[b])
			a.w.standing(b).left(a.out[b])
			s.group = s.group.without(b)
		}
		s.group.epoch = moved[s.partition]
		if len(s.leaving) > 0 {
			a.w.regrouped(s.partition, s.group)
		}
	}
	if b := t.dear(); b != nil && shared {
		a.w.standing(b).shared(errSlow)
	}
	a.w.long.Store(time.Since(begin) > a.w.tolerance.slow)
	return nil
}

// members decides who takes part in a share, and finds out which rows they touch. Who fails at an event leaves, so that it can be parked. Who is
// out for another reason, or known to be in trouble with its tables, leaves if it has rows to write and another member stays.
func (w *Worker) members(ctx context.Context, s *share, out map[*build]error) error {
	var err error
	if s.group, err = w.groupOf(ctx, s.partition); err != nil {
		return err
	}
	s.leaving, s.folds = nil, nil
	events, failed := w.decode(s.records)
	var stay []*build
	for _, b := range s.group.members {
		reason := out[b]
		if reason == nil {
			reason = w.standing(b).inTrouble()
		}
		if reason != nil && slices.ContainsFunc(s.records, b.concerned) {
			out[b] = reason
			s.leaving = append(s.leaving, b)
			continue
		}
		stay = append(stay, b)
	}
	if len(stay) == 0 { // none would be spared
		held := func(b *build) bool { return !ofEvent(out[b]) }
		stay = slices.DeleteFunc(slices.Clone(s.leaving), func(b *build) bool { return !held(b) })
		s.leaving = slices.DeleteFunc(s.leaving, held)
	}
	if t := blocked(s.partition, stay, failed); t != nil {
		return t
	}
	s.folds, err = touching(s.partition, stay, events)
	return err
}

// blocked is the trouble of builds that read events which cannot be opened; nil if none does.
func blocked(partition int, builds []*build, failed []undecodable) error {
	t := &trouble{partition: partition}
	for _, f := range failed {
		for _, b := range builds {
			if b.concerned(f.record) && !slices.Contains(t.builds, b) {
				t.builds = append(t.builds, b)
				if t.err == nil {
					t.err = f.of(b)
				}
			}
		}
	}
	if len(t.builds) == 0 {
		return nil
	}
	return t
}

// transact runs f over a connection of a pool. f begins the transaction; it is ended here if f fails.
func (w *Worker) transact(ctx context.Context, pool *pgxpool.Pool, t *transaction, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer conn.Release() // which closes one that is inside a transaction
	t.conn = conn
	if err := f(ctx); err != nil {
		switch c := code(err); {
		case ctx.Err() != nil:
		case isTrouble(err) && len(c) == 5 && (c[:2] == "42" || c[:2] == "0A"): // the table is not what it was when statements were prepared
			_ = conn.Conn().Close(ctx)
		default:
			_, _ = conn.Exec(ctx, "rollback")
		}
		return fmt.Errorf("writing the projections' rows of partition %d: %w", t.shares[0].partition, err)
	}
	return nil
}

// touching finds out which rows of the builds the events change.
func touching(partition int, builds []*build, events []es.Recorded) (folds []*fold, err error) {
	for _, b := range builds {
		f, err := b.touchAll(partition, events)
		if err != nil {
			return nil, &trouble{[]*build{b}, partition, err}
		}
		if len(f.touches) > 0 {
			folds = append(folds, f)
		}
	}
	return folds, nil
}

// undecodable is an event that cannot be opened.
type undecodable struct {
	record es.Record
	err    error
}

// of is the failure of a build that reads it. What rows it is about is not known.
func (u undecodable) of(b *build) error { return failure.At(b.who(), u.record, "", u.err) }

// decode opens what some projection reads, and says of which events that cannot be opened they are.
func (w *Worker) decode(records []es.Record) (events []es.Recorded, failed []undecodable) {
	events = make([]es.Recorded, 0, len(records))
	for _, rec := range records {
		if !w.concerned(rec) {
			continue
		}
		e, err := w.cfg.Catalog.Open(rec)
		if err != nil {
			failed = append(failed, undecodable{rec, err})
			continue
		}
		events = append(events, e)
	}
	return events, failed
}
