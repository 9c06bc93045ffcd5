package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/kit/es"
)

// owner runs the effects of the instances of one partition.
type owner struct {
	o         *Orchestrator
	partition int
	ctx       context.Context //nolint:containedctx // the assignment's, which instances woken from elsewhere run under

	slots  chan struct{} // one per worker
	spares chan struct{} // of those, for instances whose last run failed

	mu      sync.Mutex
	closed  bool
	running map[es.StreamID]*again
	failing map[es.StreamID]failing // of those that are still due
	all     sync.WaitGroup
}

// again says that an instance was woken while it was being run.
type again struct{ revision uint64 }

// failing is how the last run of an instance ended.
type failing struct {
	err   error
	tries int // in a row
	next  time.Time
}

const (
	maxDue     = 1000             // rows of one read
	lookWithin = 10 * time.Second // for its answer
)

// Own runs the effects of a partition's instances until ctx ends.
func (o *Orchestrator) Own(ctx context.Context, partition int) {
	w := &owner{
		o: o, partition: partition, ctx: ctx, running: map[es.StreamID]*again{}, failing: map[es.StreamID]failing{},
		slots: make(chan struct{}, o.cfg.Workers), spares: make(chan struct{}, max(1, o.cfg.Workers/4)),
	}
	o.mu.Lock()
	o.owned[partition] = w // an earlier assignment may still be ending: running an instance twice does nothing
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		if o.owned[partition] == w {
			delete(o.owned, partition)
			o.health.Forget(due(partition))
			o.health.Forget(runs(partition))
		}
		o.mu.Unlock()
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		w.all.Wait()
		o.later.flush(context.WithoutCancel(ctx)) // the next owner need not look again
	}()
	var wake <-chan struct{}
	if o.cfg.Wake != nil {
		c, cancel := o.cfg.Wake(Channel)
		defer cancel()
		wake = c
	}
	o.rows.Attend(ctx, partition, wake, nil, func(ctx context.Context) time.Duration {
		err := w.look(ctx)
		if ctx.Err() == nil {
			o.health.Set(due(partition), err)
		}
		if err != nil || w.anyFailing() { // until it is known to be mended
			return o.cfg.Poll
		}
		return 0
	})
}

// look starts every instance that is due, unless it failed a moment ago.
func (w *owner) look(ctx context.Context) error {
	now := w.o.cfg.Now()
	still := map[es.StreamID]bool{}
	for after := (dueRow{}); ; {
		rows, err := w.due(ctx, now, after)
		if err != nil {
			return fmt.Errorf("look for due instances of partition %d: %w", w.partition, err)
		}
		for _, r := range rows {
			id, err := es.ParseStreamID(r.Instance)
			if err != nil {
				return fmt.Errorf("look for due instances of partition %d: %w", w.partition, err)
			}
			still[id] = true
			revision := uint64(r.Revision) //nolint:gosec // written from one
			anothers := w.o.newest[id.Category] == nil
			if !anothers && !w.putOff(id, now) && !w.o.later.covers(id, revision, now) {
				w.start(id, revision)
			}
		}
		if len(rows) < maxDue {
			break
		}
		after = rows[len(rows)-1]
	}
	w.o.health.Set(runs(w.partition), w.stillFailing(still))
	return nil
}

func (w *owner) anyFailing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.failing) > 0
}

// anyDue gives those of some partitions that have due rows.
func (o *Orchestrator) anyDue(ctx context.Context, partitions []int) ([]int, error) {
	rows, err := o.cfg.Pool.Query(ctx, `
		select p.n from unnest($1::int[]) as p (n)
		where exists (select from daybook.saga_instance i where i.partition = p.n and i.due_at <= $2)`, partitions, o.cfg.Now())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

type dueRow struct {
	Instance string
	Revision int64
	DueAt    time.Time
}

// due gives the next rows that are due, in the order of their times.
func (w *owner) due(ctx context.Context, now time.Time, after dueRow) ([]dueRow, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	rows, err := w.o.cfg.Pool.Query(ctx, `
		select instance, revision, due_at from daybook.saga_instance
		where partition = $1 and due_at <= $2 and due_at >= $3 and (due_at, instance) > ($3, $4)
		order by due_at, instance limit $5`, w.partition, now, after.DueAt, after.Instance, maxDue)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[dueRow])
}

// putOff tells whether an instance failed so recently that its time has not come again.
func (w *owner) putOff(id es.StreamID, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Before(w.failing[id].next)
}

// stillFailing says which of the instances that are due failed when they were run last, and forgets the others.
func (w *owner) stillFailing(due map[es.StreamID]bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.failing, func(id es.StreamID, _ failing) bool { return !due[id] })
	for id, f := range w.failing {
		return fmt.Errorf("%d instances cannot be run; one of them is %s: %w", len(w.failing), id, f.err)
	}
	return nil
}

// start runs an instance beside the others, once at a time. Those whose last run failed share some of the slots: however many they
// are, they leave room for the others.
func (w *owner) start(id es.StreamID, revision uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	if busy := w.running[id]; busy != nil {
		busy.revision = max(busy.revision, revision)
		return
	}
	now := &again{}
	w.running[id] = now
	spare := w.failing[id].err != nil
	w.all.Go(func() {
		if spare {
			if !take(w.ctx, w.spares) {
				w.finish(id)
				return
			}
			defer func() { <-w.spares }()
		}
		w.work(id, now, revision)
	})
}

// work runs an instance, and again if it was woken meanwhile.
func (w *owner) work(id es.StreamID, now *again, revision uint64) {
	for {
		if !take(w.ctx, w.slots) {
			w.finish(id)
			return
		}
		seen, err := w.o.run(w.ctx, id, revision)
		<-w.slots
		if err != nil && w.ctx.Err() == nil {
			w.o.cfg.Logger.Debug("sagas: running an instance failed, it stays due", "instance", id.String(), "error", err)
		}
		w.mu.Lock()
		tries := w.failing[id].tries + 1
		if delete(w.failing, id); err != nil && w.ctx.Err() == nil {
			w.failing[id] = failing{err, tries, w.o.cfg.Now().Add(w.o.cfg.retries().After(tries))}
		}
		if err != nil || now.revision <= seen {
			delete(w.running, id)
			w.mu.Unlock()
			return
		}
		revision = now.revision
		w.mu.Unlock()
	}
}

func take(ctx context.Context, slots chan<- struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *owner) finish(id es.StreamID) {
	w.mu.Lock()
	delete(w.running, id)
	w.mu.Unlock()
}

// wake runs an instance whose row was just committed, if its partition is owned here.
func (o *Orchestrator) wake(r row) {
	o.mu.Lock()
	w := o.owned[r.partition]
	o.mu.Unlock()
	if w != nil {
		w.start(r.id, r.revision)
	}
}

// whoseTurn picks the rows that are due now and run here, and says whether there are others.
func (o *Orchestrator) whoseTurn(rows []row) (mine []row, others bool) {
	now := o.cfg.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range rows {
		switch {
		case r.due.IsZero() || r.due.After(now):
		case o.owned[r.partition] != nil:
			mine = append(mine, r)
		default:
			others = true
		}
	}
	return mine, others
}
