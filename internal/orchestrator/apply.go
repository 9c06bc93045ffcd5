package orchestrator

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// stepsAtOnce bounds the appends of one batch under way.
const stepsAtOnce = 64

// Apply gives a partition's events to the instances they concern: many instances at once, those of one in order. Then
// one transaction moves the checkpoints and writes what the instances wait for.
func (o *Orchestrator) Apply(ctx context.Context, partition int, after uint64, events []es.Record) error {
	err := o.apply(ctx, partition, after, events)
	if _, known := failure.Of(err); !known && ctx.Err() == nil && errors.Is(err, es.ErrUnavailable) {
		return &failure.Outage{Server: "the event store", Err: err}
	}
	return err
}

func (o *Orchestrator) apply(ctx context.Context, partition int, after uint64, events []es.Record) error {
	if len(events) == 0 {
		return nil
	}
	began := time.Now()
	at, err := o.checkpoints.Before(partition, after)
	if err != nil {
		return err
	}
	var order []es.StreamID
	byInstance := map[es.StreamID][]delivery{}
	for _, rec := range events {
		ds, err := o.deliveries(rec, at)
		if err != nil {
			return err
		}
		for _, d := range ds {
			if byInstance[d.to] == nil {
				order = append(order, d.to)
			}
			byInstance[d.to] = append(byInstance[d.to], d)
		}
	}
	rows, changed := make([]row, len(order)), make([]bool, len(order))
	var group errgroup.Group
	group.SetLimit(stepsAtOnce)
	for i, id := range order {
		group.Go(func() (err error) {
			rows[i], changed[i], err = o.applyTo(ctx, id, byInstance[id])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var dirty []row
	for i, r := range rows {
		if changed[i] {
			dirty = append(dirty, r)
		}
	}
	if err := o.commit(ctx, partition, at, events[len(events)-1].Position, dirty); err != nil {
		return err
	}
	o.metrics.batch.Observe(time.Since(began).Seconds())
	return nil
}

// applyTo steps one instance, and gives the row to be written, unless one as new is known to be written.
func (o *Orchestrator) applyTo(ctx context.Context, id es.StreamID, ds []delivery) (row, bool, error) {
	e := o.take(id)
	defer o.leave(e)
	e.mu.Lock()
	defer e.mu.Unlock()
	o.metrics.inputs.Add(float64(len(ds)))
	if err := o.step(ctx, e, ds...); err != nil {
		_, known := failure.Of(err)
		if _, unreadable := errors.AsType[*es.UnreadableError](err); unreadable && !known { // in the instance's own stream
			err = e.failed(ds[0], err)
		}
		return row{}, false, err
	}
	if e.run == nil || e.saved >= e.next {
		return row{}, false, nil
	}
	return o.rowOf(e), true, nil
}

func (o *Orchestrator) commit(ctx context.Context, partition int, at checkpoint.ByName, last uint64, rows []row) error {
	mine, others := o.whoseTurn(rows)
	var err error
	move := o.checkpoints.Move(partition, at, last)
	if len(rows) == 0 {
		err = o.checkpoints.Alone(ctx, move)
	} else {
		err = o.saver.save(ctx, saving{rows: rows, move: &move, notify: others})
	}
	if ctx.Err() == nil && postgres.Unreachable(err) {
		err = &failure.Outage{Server: "Postgres", Err: err}
	}
	if err != nil {
		return err
	}
	if len(rows) > 0 {
		o.hit(failpoint.SagaWaitingAfter)
	}
	o.checkpoints.Moved(move)
	for _, r := range rows {
		o.saved(r)
	}
	for _, r := range mine {
		o.wake(r)
	}
	return nil
}

// saved remembers that a row is written, so that it is not written again for each repeated input.
func (o *Orchestrator) saved(r row) {
	e, kept := o.instances.Get(r.id)
	if !kept {
		return
	}
	defer o.leave(e)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.run != nil {
		e.saved = max(e.saved, r.revision)
	}
}

// savedAt is the revision of the newest row known to be written; 0: none is.
func (o *Orchestrator) savedAt(id es.StreamID) uint64 {
	e, kept := o.instances.Get(id)
	if !kept {
		return 0
	}
	defer o.leave(e)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.saved
}

var _ feed.Selective = (*Orchestrator)(nil)

// Concerns implements feed.Selective. An answer that was fed at once from its receipt changes nothing when it comes through Kafka. It waits
// for others although its instance's row may not be as new yet: Apply writes that row if nothing else has by then.
func (o *Orchestrator) Concerns(_ int, event es.Record) bool {
	if o.routes[event.Type] == nil {
		return false
	}
	ds, err := o.deliveries(event, nil)
	if err != nil {
		return true
	}
	for _, d := range ds {
		if !o.settled(d) {
			return true
		}
	}
	return false
}

// settled tells whether an instance in memory holds an input. One that is just being stepped has not settled.
func (o *Orchestrator) settled(d delivery) bool {
	in, heard := d.in.(machine.Heard)
	e, kept := o.instances.Get(d.to)
	if !kept {
		return false
	}
	defer o.leave(e)
	if !heard || !e.mu.TryLock() {
		return false
	}
	defer e.mu.Unlock()
	return e.run != nil && e.run.Holds(in)
}
