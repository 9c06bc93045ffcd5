package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/es"
)

// owner runs the effects of the instances of one partition.
type owner struct {
	o         *Orchestrator
	partition int
	ctx       context.Context //nolint:containedctx // the assignment's, which instances woken from elsewhere run under

	mu      sync.Mutex
	closed  bool
	running map[es.StreamID]*again
	failing map[es.StreamID]error // of the last run, of those that are still due
	all     sync.WaitGroup
}

// again says that an instance was woken while it was being run.
type again struct{ revision uint64 }

const (
	maxDue     = 1000             // rows of one look
	lookWithin = 10 * time.Second // for its answer
)

// Own runs the effects of a partition's instances until ctx ends.
func (o *Orchestrator) Own(ctx context.Context, partition int) {
	w := &owner{o: o, partition: partition, ctx: ctx, running: map[es.StreamID]*again{}, failing: map[es.StreamID]error{}}
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
	}()
	var wake <-chan struct{}
	if o.cfg.Wake != nil {
		c, cancel := o.cfg.Wake(Channel)
		defer cancel()
		wake = c
	}
	tick := time.NewTicker(o.cfg.Poll)
	defer tick.Stop()
	for {
		if err := w.look(ctx); ctx.Err() == nil {
			o.health.Set(due(partition), err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-wake:
		}
	}
}

// look starts every instance that is due.
func (w *owner) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	rows, err := w.o.cfg.Pool.Query(ctx, `
		select instance, revision from daybook.saga_instance
		where partition = $1 and due_at <= $2 order by due_at limit $3`, w.partition, w.o.cfg.Now(), maxDue)
	if err != nil {
		return fmt.Errorf("look for due instances of partition %d: %w", w.partition, err)
	}
	var name string
	var revision int64
	still := map[es.StreamID]bool{}
	_, err = pgx.ForEachRow(rows, []any{&name, &revision}, func() error {
		id, err := es.ParseStreamID(name)
		if err != nil {
			return err
		}
		if still[id] = true; w.o.newest[id.Category] != nil { // else another binary's
			w.start(id, uint64(revision)) //nolint:gosec // written from one
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for due instances of partition %d: %w", w.partition, err)
	}
	if len(still) < maxDue {
		w.o.health.Set(runs(w.partition), w.stillFailing(still))
	}
	return nil
}

// stillFailing says which of the instances that are due failed when they were run last, and forgets the others.
func (w *owner) stillFailing(due map[es.StreamID]bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.failing, func(id es.StreamID, _ error) bool { return !due[id] })
	for id, err := range w.failing {
		return fmt.Errorf("%d instances cannot be run; one of them is %s: %w", len(w.failing), id, err)
	}
	return nil
}

// start runs an instance beside the others, once at a time.
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
	w.all.Go(func() {
		for {
			select {
			case w.o.slots <- struct{}{}:
			case <-w.ctx.Done():
				w.finish(id)
				return
			}
			seen, err := w.o.run(w.ctx, id, revision)
			<-w.o.slots
			if err != nil && w.ctx.Err() == nil {
				w.o.cfg.Logger.Debug("sagas: running an instance failed, it stays due", "instance", id.String(), "error", err)
			}
			w.mu.Lock()
			if delete(w.failing, id); err != nil && w.ctx.Err() == nil {
				w.failing[id] = err
			}
			if err != nil || now.revision <= seen {
				delete(w.running, id)
				w.mu.Unlock()
				return
			}
			revision = now.revision
			w.mu.Unlock()
		}
	})
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
