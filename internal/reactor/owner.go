package reactor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/reactor"
)

// owner attends to the open intents of one partition for as long as it is this process'.
type owner struct {
	*Engine

	partition int
	ctx       context.Context //nolint:containedctx // the assignment's, which first tries run under
	wake      chan struct{}
	calls     sync.WaitGroup

	mu      sync.Mutex
	closed  bool            // no call begins any more
	running map[string]bool // reactor and intent
	late    map[string]bool // intents whose being overdue has been logged
	settled map[string]bool // since the rows of this round were read: they say nothing about these any more
	held    map[string]hold // rows that could not be written

	slots  chan struct{} // calls at a time
	spares chan struct{} // of those, for intents whose last tries failed
}

// hold puts off the next try at an intent whose row could not be written.
type hold struct {
	tries int
	until time.Time
}

// Own attends to a partition's open intents until ctx ends; what is being called then is another owner's to repeat.
func (e *Engine) Own(ctx context.Context, partition int) {
	o := &owner{
		Engine: e, partition: partition, ctx: ctx, wake: make(chan struct{}, 1), running: map[string]bool{}, late: map[string]bool{}, held: map[string]hold{},
		slots: make(chan struct{}, e.cfg.Concurrency), spares: make(chan struct{}, max(1, e.cfg.Concurrency/4)),
	}
	e.open.forget(partition)
	e.mu.Lock()
	e.owners[partition] = o
	e.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.closed = true
		o.mu.Unlock()
		o.calls.Wait()
		e.open.forget(partition)
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.owners[partition] == o {
			delete(e.owners, partition)
			maps.DeleteFunc(e.failing, func(_ string, f failing) bool { return f.partition == partition })
			e.health.Forget(atIntents(partition))
			e.health.Forget(atRound(partition))
		}
	}()
	var byHand <-chan struct{}
	if e.cfg.Listen != nil {
		woken, cancel := e.cfg.Listen(Channel)
		defer cancel()
		byHand = woken
	}
	e.rows.Attend(ctx, partition, byHand, o.wake, func(ctx context.Context) time.Duration {
		pause, err := o.round(ctx)
		if ctx.Err() == nil {
			e.health.Set(atRound(partition), err)
		}
		if err != nil || pause < e.cfg.Poll || o.misses() {
			return max(pause, time.Nanosecond) // 0 is at once
		}
		return 0
	})
}

// goOn runs a call beside others, unless the owner has ended.
func (o *owner) goOn(call func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	o.calls.Go(call)
	return true
}

func wake(owner chan struct{}) {
	select {
	case owner <- struct{}{}:
	default: // none, or it has been woken already
	}
}

// row is an open intent as it was read.
type row struct {
	reactor  string
	task     reactor.Task
	position uint64 // of the intent, as is its type
	typ      string
	due      time.Time
	wakes    int
}

// failed gives an error of an intent its identity.
func (r row) failed(err error) error {
	if errors.Is(err, es.ErrUnavailable) {
		return &failure.Outage{Server: "the event store", Err: err}
	}
	record := es.Record{Position: r.position, Stream: r.task.Stream, Revision: r.task.Revision, Type: r.typ}
	return failure.At(failure.Who{Kind: "reactor", Name: r.reactor}, record, r.task.ID.String(), err)
}

func (r row) key() string { return r.reactor + " " + r.task.ID.String() }

// anyDue gives those of some partitions that have intents due before it is asked again.
func (e *Engine) anyDue(ctx context.Context, partitions []int) ([]int, error) {
	rows, err := e.cfg.Pool.Query(ctx, `
		select p.n from unnest($1::int[]) as p (n) where exists (
			select from daybook.reactor_waiting w where w.partition = p.n and w.due_at <= $2 and w.reactor = any($3))`,
		partitions, e.now().Add(e.cfg.Poll), e.names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

// round begins what is due and gives the time until there may be more.
func (o *owner) round(ctx context.Context) (time.Duration, error) {
	o.mu.Lock()
	o.settled = map[string]bool{}
	o.mu.Unlock()
	if err := o.wakeMissed(ctx); err != nil {
		return o.cfg.Poll, err
	}
	for after := (row{}); ; {
		rows, err := o.read(ctx, o.now().Add(o.cfg.Poll), after)
		if err != nil {
			return o.cfg.Poll, err
		}
		for _, r := range rows {
			if wait := r.due.Sub(o.now()); wait > 0 {
				return wait, nil
			}
			if err := o.start(ctx, r); err != nil {
				return 0, err
			}
		}
		if len(rows) < roundMost {
			return o.cfg.Poll, nil
		}
		after = rows[len(rows)-1]
	}
}

// start attends to an intent beside the others. Those that have failed before share some of the slots: however many they are, they
// leave room for the others.
func (o *owner) start(ctx context.Context, r row) error {
	failed, ok := o.begin(r)
	switch {
	case !ok:
		return nil
	case failed:
		o.calls.Go(func() {
			if take(ctx, o.spares) {
				defer func() { <-o.spares }()
				if take(ctx, o.slots) {
					o.run(ctx, r)
					return
				}
			}
			o.end(r)
		})
		return nil
	case !take(ctx, o.slots):
		o.end(r)
		return ctx.Err()
	}
	o.calls.Go(func() { o.run(ctx, r) })
	return nil
}

func take(ctx context.Context, slots chan<- struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// run attends to an intent in a slot, and leaves it.
func (o *owner) run(ctx context.Context, r row) {
	again := o.attend(ctx, r)
	o.end(r)
	<-o.slots
	if again {
		wake(o.wake)
	}
}

const (
	roundMost  = 256              // rows of one read
	readWithin = 10 * time.Second // for the answer
)

// begin tells whether an intent is to be attended to now, and whether its last try failed.
func (o *owner) begin(r row) (failed, ok bool) {
	failed = o.hasFailed(r)
	o.mu.Lock()
	defer o.mu.Unlock()
	held := o.held[r.key()]
	if o.running[r.key()] || o.settled[r.key()] || o.now().Before(held.until) {
		return false, false
	}
	o.running[r.key()] = true
	return failed || held.tries > 0, true
}

func (o *owner) end(r row) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.running, r.key())
	o.settled[r.key()] = true
}

// read gives the next rows that are due, in the order of their times.
func (o *owner) read(ctx context.Context, until time.Time, after row) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	rows, err := o.cfg.Pool.Query(ctx, `
		select reactor, intent::text, stream, revision, position, type, recorded_at, opened_at, due_at, tries, wakes, memo
		from daybook.reactor_waiting where partition = $1 and due_at <= $2 and reactor = any($3)
			and due_at >= $5 and (due_at, reactor, intent) > ($5, $6, $7::uuid)
		order by due_at, reactor, intent limit $4`, o.partition, until, o.names, roundMost, after.due, after.reactor, after.task.ID.String())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(c pgx.CollectableRow) (r row, err error) {
		var id, stream string
		var revision, position int64
		err = c.Scan(&r.reactor, &id, &stream, &revision, &position, &r.typ, &r.task.Recorded, &r.task.Opened, &r.due, &r.task.Tries, &r.wakes, &r.task.Left)
		if err != nil {
			return r, err
		}
		r.task.Revision, r.position = uint64(revision), uint64(position) //nolint:gosec // written from them
		r.task.Stream = es.AnyStreamID(stream)
		r.task.ID, err = es.ParseUUID(id)
		return r, err
	})
}

// attend gives whether there is something to do before the next poll.
func (o *owner) attend(ctx context.Context, r row) bool {
	next, err := o.try(ctx, r)
	return ctx.Err() == nil && o.keep(ctx, r, next, err)
}

// try calls the reactor, and notes how that went.
func (o *owner) try(ctx context.Context, r row) (reactor.Next, error) {
	next, err := o.call(ctx, r)
	if err == nil && next.Closed {
		failpoint.Hit(failpoint.OutcomeAfter)
	}
	if ctx.Err() != nil {
		return next, err
	}
	o.tried(o.partition, r, err)
	result := "again"
	switch {
	case err != nil:
		result = "error"
		o.log.Debug("a reactor failed; it will be tried again", "reactor", r.reactor, "stream", r.task.Stream.String(), "tries", r.task.Tries+1, "error", err)
	case next.Closed:
		result = "done"
	}
	o.metrics.attended.WithLabelValues(r.reactor, result).Inc()
	if open := o.now().Sub(r.task.Recorded); o.overdue(r, open > o.cfg.AlertAfter && !next.Closed && !next.Waits) {
		o.log.Warn("an intent is still without an outcome", "reactor", r.reactor, "stream", r.task.Stream.String(), "open", open.Round(time.Second))
	}
	return next, err
}

// overdue counts a try that left an intent open for too long, and tells whether it is the first such of this owner.
func (o *owner) overdue(r row, is bool) (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !is {
		delete(o.late, r.key())
		return false
	}
	o.metrics.overdue.WithLabelValues(r.reactor).Inc()
	first = !o.late[r.key()]
	o.late[r.key()] = true
	return first
}

func (o *owner) call(ctx context.Context, r row) (next reactor.Next, err error) {
	defer func() {
		if p := recover(); p != nil {
			o.log.Debug("a reactor panicked", "stack", string(debug.Stack()))
			next, err = reactor.Next{}, fmt.Errorf("panic: %v", p)
		}
	}()
	return o.byName[r.reactor].Attend(ctx, r.task)
}
