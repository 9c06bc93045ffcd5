package orchestrator

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

const (
	sendsAtOnce = 16 // of one instance
	maxRounds   = 32 // of sending what the answers to the last round led to
)

// run sends what an instance owes and feeds the answers at once, until nothing more is due; then it writes when to look
// again. It gives the revision up to which it has looked. revision: of the row that was due.
func (o *Orchestrator) run(ctx context.Context, id es.StreamID, revision uint64) (uint64, error) {
	e := o.take(id)
	defer o.leave(e)
	if err := o.refresh(ctx, e, revision); err != nil {
		return 0, err
	}
	for range maxRounds {
		effects, timers := o.dueNow(e)
		if len(effects)+len(timers) == 0 || ctx.Err() != nil {
			break
		}
		sent := o.send(ctx, e, effects)
		if err := o.feed(ctx, e, sent.answers); err != nil {
			return 0, err
		}
		for _, t := range timers {
			if err := o.timer(ctx, e, t, sent); err != nil {
				return 0, err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	e.mu.Lock()
	if e.run == nil {
		e.mu.Unlock()
		return revision, nil
	}
	r := o.rowOf(e)
	e.mu.Unlock()
	if err := o.later.put(ctx, r); err != nil {
		return 0, err
	}
	return r.revision, nil
}

// keep writes an owner's row, unless a newer one is known to be written.
func (o *Orchestrator) keep(ctx context.Context, r row) error {
	if o.savedAt(r.id) > r.revision {
		return nil
	}
	if err := o.saver.save(ctx, saving{rows: []row{r}}); err != nil {
		return err
	}
	o.saved(r)
	return nil
}

// refresh folds the instance again if the row knows more of it than this process does. What was left undecided by a program with
// another definition is decided.
func (o *Orchestrator) refresh(ctx context.Context, e *entry, revision uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.run != nil && e.next >= revision {
		return nil
	}
	if err := o.load(ctx, e); err != nil || e.run == nil {
		return err
	}
	return o.step(ctx, e)
}

// dueNow are the commands to be sent and the timers that have come. A due timer's commands are sent again whenever
// they were sent last, which tells whether they ever were.
func (o *Orchestrator) dueNow(e *entry) (effects []machine.Effect, timers []machine.Timer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.run == nil {
		return nil, nil
	}
	now := o.cfg.Now()
	for _, t := range e.run.Timers() {
		if !e.timerAt(t).After(now) {
			timers = append(timers, t)
		}
	}
	for _, f := range e.run.Effects() {
		waitedOn := slices.ContainsFunc(timers, func(t machine.Timer) bool { return t.Step == f.Step })
		if waitedOn || !e.effectAt(f, now).After(now) {
			effects = append(effects, f)
		}
	}
	return effects, timers
}

// round is what came of sending commands.
type round struct {
	mu      sync.Mutex
	answers []delivery
	first   map[es.UUID]bool // effects that had never been sent before
}

func (r *round) answer(d ...delivery) {
	r.mu.Lock()
	r.answers = append(r.answers, d...)
	r.mu.Unlock()
}

// send sends commands, several at a time.
func (o *Orchestrator) send(ctx context.Context, e *entry, effects []machine.Effect) *round {
	r := &round{first: map[es.UUID]bool{}}
	if len(effects) == 1 {
		o.sendOne(ctx, e, effects[0], r)
		return r
	}
	var group errgroup.Group
	group.SetLimit(sendsAtOnce)
	for _, f := range effects {
		group.Go(func() error { o.sendOne(ctx, e, f, r); return nil })
	}
	_ = group.Wait() // its functions give no errors
	return r
}

func (o *Orchestrator) feed(ctx context.Context, e *entry, ds []delivery) error {
	if len(ds) == 0 {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := o.step(ctx, e, ds...); err != nil {
		return err
	}
	if e.run == nil {
		return nil
	}
	for id := range e.sending { // those that are not waited for any more
		owed := slices.ContainsFunc(e.run.Effects(), func(f machine.Effect) bool { return f.ID == id }) ||
			slices.ContainsFunc(e.run.Timers(), func(t machine.Timer) bool { return t.ID == id })
		if !owed {
			delete(e.sending, id)
		}
	}
	return nil
}

// timer handles a due timer: an answer in the streams it waits on is fed instead. It is put off if its commands were only
// sent now, and for as long as the system was down since the wait began: time in which no answer could have come does not count.
func (o *Orchestrator) timer(ctx context.Context, e *entry, t machine.Timer, sent *round) error {
	outcome := func(how string) { o.metrics.timers.WithLabelValues(e.id.Category, how).Inc() }
	until := o.uncounted(e, t)
	if slices.ContainsFunc(t.Streams, func(at machine.Target) bool { return sent.first[at.Effect] }) {
		until = later(until, o.cfg.Now().Add(t.Unsent))
	}
	if until.After(o.cfg.Now()) {
		e.mu.Lock()
		e.sendingOf(t.ID).next = until
		e.mu.Unlock()
		outcome("put_off")
		return nil
	}
	answers, err := o.look(ctx, e, t)
	if err != nil {
		e.mu.Lock()
		s := e.sendingOf(t.ID)
		s.tries++
		s.next = o.cfg.Now().Add(o.cfg.retries().After(s.tries))
		e.mu.Unlock()
		o.complain("sagas: a due timer could not read what it waits on", "instance", e.id.String(), "error", err)
		outcome("unreadable")
		return nil
	}
	if err := o.feed(ctx, e, answers); err != nil {
		return err
	}
	e.mu.Lock()
	awaited := e.run != nil && slices.ContainsFunc(e.run.Timers(), func(now machine.Timer) bool { return now.ID == t.ID })
	e.mu.Unlock()
	if !awaited {
		outcome("answered")
		return nil
	}
	if t.Reminder > 0 {
		o.complain("sagas: an instance still waits", "instance", e.id.String(), "step", t.Step, "reminder", t.Reminder)
		outcome("reminded")
	} else {
		outcome("fired")
	}
	return o.feed(ctx, e, []delivery{{to: e.id, in: machine.Due{Timer: t.ID}}})
}

// uncounted is until when a timer has to wait beyond its time: for the outages since the wait began, and, while one lasts, until the
// next look. Before it fires, the sagas have heard all that was recorded up to its time wherever what is awaited may be: an event without an
// effect is in the instance's own partition, an answer in those of the streams that it sent to. Whatever else keeps inputs of
// an instance back belongs here too.
func (o *Orchestrator) uncounted(e *entry, t machine.Timer) time.Time {
	partitions := []int{o.partition(e.id)}
	for _, at := range t.Streams {
		partitions = append(partitions, o.partition(at.Stream))
	}
	for _, s := range t.Hears {
		partitions = append(partitions, o.partition(s))
	}
	down, upTo := o.cfg.Uptime.Down(partitions, t.Since)
	due := t.Due.Add(down)
	if upTo.Before(due) {
		return later(due, o.cfg.Now().Add(o.cfg.Poll))
	}
	return due
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// look reads the streams a timer waits on for answers.
func (o *Orchestrator) look(ctx context.Context, e *entry, t machine.Timer) ([]delivery, error) {
	from := map[es.StreamID]uint64{}
	effects := map[es.UUID]bool{}
	e.mu.Lock()
	for _, at := range t.Streams {
		effects[at.Effect] = true
		begin := at.From
		if s := e.sending[at.Effect]; s != nil {
			begin = max(begin, s.revision)
		}
		if have, ok := from[at.Stream]; !ok || begin < have {
			from[at.Stream] = begin
		}
	}
	e.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var out []delivery
	for stream, begin := range from {
		for rec, err := range o.cfg.Store.Read(ctx, stream, begin) {
			if err != nil {
				return nil, err
			}
			if r := o.routes[rec.Type]; r == nil || !r.hears[e.id.Category] {
				continue
			}
			in, err := machine.HeardOf(o.cfg.Catalog, rec)
			if err != nil {
				return nil, err
			}
			if effects[in.Meta.Effect.ID] {
				out = append(out, delivery{to: e.id, in: in, effect: in.Meta.Effect.ID})
			}
		}
	}
	return out, nil
}

const lookTimeout = 10 * time.Second
