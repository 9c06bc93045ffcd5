package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

const (
	joinEvents  = 200   // of a partition, folded while the others wait
	joinReads   = 5_000 // of the log, to find them
	joinWithin  = 500 * time.Millisecond
	apartEvery  = 250 * time.Millisecond // a build by itself looks how far the others are
	apartErrors = time.Second            // after an error
)

// Own implements feed.Consumer: the partition's builds that do not belong to its group go by themselves until they join it, and
// the owner of partition 0 points to new builds when they have come as far as those before them.
func (w *Worker) Own(ctx context.Context, partition int) {
	var running sync.WaitGroup
	defer running.Wait()
	if partition == 0 {
		running.Go(func() { w.flips(ctx) })
	}
	woken, done := w.watch(partition), make(chan *build)
	alone := map[*build]bool{}
	for {
		for _, b := range w.apart(partition) {
			if !alone[b] {
				alone[b] = true
				running.Go(func() {
					w.alone(ctx, partition, b)
					select {
					case done <- b:
					case <-ctx.Done():
					}
				})
			}
		}
		select {
		case <-woken:
		case b := <-done:
			delete(alone, b)
		case <-ctx.Done():
			return
		}
	}
}

func (w *Worker) watch(partition int) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wakes[partition] == nil {
		w.wakes[partition] = make(chan struct{}, 1)
	}
	return w.wakes[partition]
}

// alone feeds a build by itself until it has joined the partition's group. No other build waits for it.
func (w *Worker) alone(ctx context.Context, partition int, b *build) {
	defer w.health.Forget(b.part(partition))
	for ctx.Err() == nil {
		joined, parked, err := w.approach(ctx, partition, b)
		if ctx.Err() != nil {
			return
		}
		w.standing(b).alone(err)
		w.health.Set(b.part(partition), b.shown(partition, parked, err))
		if joined {
			w.log.Info("a build has joined the others", "projection", b.plan.Name, "build", b.id, "partition", partition)
			return
		}
		pause := time.NewTimer(map[bool]time.Duration{true: apartEvery, false: apartErrors}[err == nil])
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// shown is what health says of a build by itself. What helps with trouble of its tables is to wait; a parked row needs an operator, and an event of
// a newer schema another program.
func (b *build) shown(partition, parked int, err error) error {
	_, unreadable := errors.AsType[*es.UnreadableError](err)
	switch {
	case unreadable:
		return err
	case err == nil && parked > 0:
		return &ParkedError{b.plan.Name, partition, parked}
	}
	return health.Partly(err)
}

// approach brings a build to where its group was a moment ago, and lets it join if it may. It says how much is parked.
func (w *Worker) approach(ctx context.Context, partition int, b *build) (joined bool, parked int, err error) {
	at, lead, apart, err := w.distance(ctx, partition, b)
	if err != nil {
		return false, 0, err
	}
	if !apart { // somebody else has seen to it
		_, err := w.regroup(ctx, []int{partition})
		return err == nil, 0, err
	}
	f := &follower{w: w, partition: partition, build: b, at: at}
	if f.parked, err = w.parkedUnits(ctx, partition, b); err != nil {
		return false, 0, err
	}
	var failed error
	if at < lead {
		err = w.scan.Read(ctx, partition, at, lead, func(records []es.Record, _ func()) bool {
			failed = f.follow(ctx, records)
			return failed == nil
		})
	}
	parked = len(f.parked)
	switch {
	case errors.Is(failed, errMoved), failed == nil && errors.Is(err, feed.ErrLeft): // begin anew from where it is
		return false, parked, nil
	case failed != nil:
		return false, parked, failed
	case err != nil:
		return false, parked, err
	case f.at < lead:
		return false, parked, fmt.Errorf("the event store does not have event %d of partition %d, which has been applied", lead, partition)
	case parked > 0, !w.standing(b).mayJoin():
		return false, parked, nil
	}
	joined, err = w.join(ctx, partition, b)
	return joined, 0, err
}

// distance is where a build and its group stand.
func (w *Worker) distance(ctx context.Context, partition int, b *build) (at, lead uint64, apart bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var own, groups int64
	err = w.aparts.QueryRow(ctx, `select p.position, g.position, p.apart from daybook.projection_progress p join daybook.projection_group g using (part)
		where p.build = $1 and p.part = $2`, b.id, partition).Scan(&own, &groups, &apart)
	if err != nil {
		return 0, 0, false, fmt.Errorf("reading the projections' checkpoints: %w", err)
	}
	return uint64(own), uint64(groups), apart, nil //nolint:gosec // checkpoints are not negative
}

// touchOne finds out which of a build's rows a share's records change.
func (w *Worker) touchOne(s *share, b *build) error {
	records := s.records
	if s.hold != nil {
		s.hold.spots = nil
		records = s.hold.records(b, records)
	}
	events, failed := w.decode(records)
	for _, f := range failed {
		if b.concerned(f.record) {
			return &trouble{[]*build{b}, s.partition, f.of(b)}
		}
	}
	var err error
	if s.folds, err = touching(s.partition, []*build{b}, events); s.hold != nil {
		s.folds = slices.DeleteFunc(s.folds, func(f *fold) bool { return !s.hold.fold(f) })
	}
	return err
}

// join makes a build a member of its partition's group. The group waits for as long as it takes to fold the few events in
// between; where they are not few, or the group is busy, that is tried again later.
func (w *Worker) join(ctx context.Context, partition int, b *build) (joined bool, err error) {
	s := &share{partition: partition}
	t := &transaction{w: w, shares: []*share{s}, limits: forJoining, whole: true}
	err = w.transact(ctx, w.aparts, t, func(ctx context.Context) error {
		lead, err := t.lockBoth(ctx, b)
		if err != nil {
			return err
		}
		if lead > s.after {
			if s.records, err = w.between(ctx, partition, s.after, lead); err != nil {
				return err
			}
		}
		if err := w.touchOne(s, b); err != nil {
			return err
		}
		if err := t.advance(ctx, &pgx.Batch{}, func(pgx.BatchResults) error { return nil }); err != nil {
			return err
		}
		return t.post(ctx, func(q *pgx.Batch) {
			q.Queue(`delete from daybook.projection_checkpoint where build = $1 and part = $2`, b.id, partition)
			q.Queue(`update daybook.projection_group set epoch = nextval('daybook.projection_epoch') where part = $1`, partition)
		})
	})
	switch {
	case err == nil:
		_, err = w.regroup(ctx, []int{partition})
		return true, err
	case errors.Is(err, errFar), errors.Is(err, errMoved), code(err) == lockNotAvailable && !isTrouble(err): // the group is busy
		return false, nil
	}
	return false, err
}

func isTrouble(err error) bool {
	var t *trouble
	return errors.As(err, &t)
}

// lockBoth locks the group and then the build's own checkpoint, and says where both stand.
func (t *transaction) lockBoth(ctx context.Context, b *build) (lead uint64, err error) {
	q := t.w.opening(forJoining, true)
	opened := q.Len()
	q.Queue(`select position from daybook.projection_group where part = $1 for update`, t.shares[0].partition)
	q.Queue(`select position from daybook.projection_checkpoint c where build = $1 and part = $2
		and not exists (select from daybook.projection_parked p where p.build = c.build and p.part = c.part) for update`, b.id, t.shares[0].partition)
	err = send(ctx, t.conn, q, func(res pgx.BatchResults) error {
		if err := exec(res, opened); err != nil {
			return err
		}
		var group, own int64
		if err := res.QueryRow().Scan(&group); err != nil {
			return err
		}
		if err := res.QueryRow().Scan(&own); errors.Is(err, pgx.ErrNoRows) || own > group {
			return errMoved
		} else if err != nil {
			return err
		}
		lead, t.shares[0].after = uint64(group), uint64(own) //nolint:gosec // checkpoints are not negative
		return nil
	})
	return lead, err
}

// errFar says that a build is too far behind to let the others wait.
var errFar = errors.New("too far behind to join")

// between reads a partition's few events in (from, upto] from the log.
func (w *Worker) between(ctx context.Context, partition int, from, upto uint64) (records []es.Record, err error) {
	reading, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	read := 0
	for rec, err := range w.cfg.Log.ReadAll(reading, from) {
		switch read++; {
		case err != nil && ctx.Err() == nil && reading.Err() != nil, read > joinReads, len(records) == joinEvents:
			return nil, errFar
		case err != nil:
			return nil, fmt.Errorf("reading the event store after %d: %w", from, err)
		case rec.Relayed() && topic.PartitionOf(rec.Stream.Partition(), w.cfg.Partitions) == partition && rec.Position <= upto:
			records = append(records, rec)
		}
		if rec.Position >= upto {
			break
		}
	}
	if n := len(records); n == 0 || records[n-1].Position != upto {
		return nil, fmt.Errorf("the event store does not have event %d of partition %d, which has been applied", upto, partition)
	}
	return records, nil
}
