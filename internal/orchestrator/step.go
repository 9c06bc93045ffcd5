package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

const (
	stepAttempts = 12
	actorKind    = "saga"
)

// errNoInstance says that an event answers an effect of an instance that cannot be found. The event is repeated: the
// instance was stored before its effect was sent, so its stream must come to light.
var errNoInstance = errors.New("no such saga instance")

// step gives inputs to an instance, in order, and stores what it makes of them. The caller holds e.mu. After an error
// what was stored is not known: give the same inputs again. An instance that does not exist takes only what starts it.
func (o *Orchestrator) step(ctx context.Context, e *entry, ds ...delivery) error {
	defer o.weigh(e)
	fresh := false
	if e.run == nil && !starts(ds) {
		if err := o.load(ctx, e); err != nil {
			return err
		}
		fresh = true
	}
	for attempt := range stepAttempts {
		if attempt > 0 {
			if err := betweenAppends.Wait(ctx, attempt); err != nil {
				return err
			}
		}
		if !fresh && unknownEffect(e, ds) { // another process may have issued it
			if err := o.load(ctx, e); err != nil {
				return err
			}
		}
		now := es.Micro(o.cfg.Now())
		made, err := o.stepAll(e, ds, now)
		if err != nil || len(made) == 0 {
			if err != nil || e.next == 0 {
				e.drop()
			}
			return err
		}
		err = o.append(ctx, e, made, ds, now)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, es.ErrWrongRevision) && !errors.Is(err, es.ErrUnknownOutcome):
			e.drop()
			return err
		}
		o.metrics.conflicts.Inc()
		if err := o.load(ctx, e); err != nil {
			return err
		}
		fresh = true
	}
	e.drop()
	return fmt.Errorf("%s: %w", e.id, es.ErrConflict)
}

func (o *Orchestrator) stepAll(e *entry, ds []delivery, now time.Time) (made []machine.Taken, err error) {
	var d delivery
	defer func() {
		if p := recover(); p != nil {
			made, err = nil, e.failed(d, fmt.Errorf("step %s: panic: %v", e.id, p))
		}
	}()
	if e.run != nil && e.resume {
		if taken, ok := e.run.Step(machine.Resumed{}, now); ok {
			made = append(made, taken)
		}
		e.resume = false
	}
	for _, d = range ds {
		switch {
		case e.run != nil:
		case d.start != nil:
			e.run = d.start.New(e.id)
		case !d.effect.IsZero():
			return nil, e.failed(d, fmt.Errorf("%s, which issued effect %s: %w", e.id, d.effect, errNoInstance))
		default:
			continue
		}
		taken, ok := e.run.Step(d.in, now)
		if !ok {
			o.metrics.ignored.Inc()
			continue
		}
		made = append(made, taken)
	}
	return made, nil
}

// failed is the failure of an instance at an input. One that is no event has no identity but the instance.
func (e *entry) failed(d delivery, err error) error {
	if in, ok := d.in.(machine.Heard); ok {
		return failure.AtOpened(failure.Who{Kind: "saga", Name: e.id.Category}, in.Recorded, e.id.String(), err)
	}
	return err
}

// starts tells whether the first input is likely to begin the stream: then it is not read beforehand, and the append
// tells.
func starts(ds []delivery) bool { return len(ds) > 0 && ds[0].start != nil }

func unknownEffect(e *entry, ds []delivery) bool {
	for _, d := range ds {
		if e.run != nil && !d.effect.IsZero() && !e.run.Knows(d.effect) {
			return true
		}
	}
	return false
}

// append stores what an instance took, at its exact revision: one event, or more, one after another, where it would be too large.
func (o *Orchestrator) append(ctx context.Context, e *entry, made []machine.Taken, ds []delivery, now time.Time) error {
	stepped, err := machine.Split(made, machine.MaxAppend, now, e.run.Due(now))
	if err != nil {
		return fmt.Errorf("encode what %s took: %w", e.id, err)
	}
	var first machine.Input
	if len(ds) > 0 {
		first = ds[0].in
	}
	for _, s := range stepped {
		if err := o.appendOne(ctx, e, s, first, now); err != nil {
			return err
		}
	}
	return nil
}

func (o *Orchestrator) appendOne(ctx context.Context, e *entry, s machine.Stepped, first machine.Input, now time.Time) error {
	at := now
	if at.Before(e.lastAt) {
		at = e.lastAt
	}
	meta := es.Meta{Actor: es.Actor{ID: e.id.Category, Kind: actorKind}, OccurredAt: at}
	if h, ok := first.(machine.Heard); ok {
		meta.Correlation, meta.Traceparent = h.Meta.Correlation, h.Meta.Traceparent
	}
	if cause := s.Taken[0].Event; cause != nil {
		meta.Causation = cause.ID.String()
	}
	p, err := o.cfg.Catalog.Propose(s, meta)
	if err != nil {
		return fmt.Errorf("append to %s: %w", e.id, err)
	}
	// Of all that it says: two processes that step one instance must not take each other's event for theirs.
	p.ID = es.DerivedID(es.UUID{}, e.id.String(), e.next, p.Type, p.Data)
	o.hit(failpoint.SagaEventBefore)
	if _, err := o.cfg.Store.Append(ctx, e.id, es.Expected(e.next)-1, []es.Proposed{p}); err != nil { //nolint:gosec // below 2^63
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", es.ErrUnknownOutcome, err)
		}
		return fmt.Errorf("append to %s: %w", e.id, err)
	}
	o.hit(failpoint.SagaEventAfter)
	o.metrics.stored.Inc()
	if e.next == 0 {
		e.started = now
	}
	e.next, e.lastAt, e.recorded = e.next+1, at, e.recorded+len(p.Data)+len(p.Meta)
	return nil
}

// load folds an instance's stream afresh; e.run stays nil if there is none.
func (o *Orchestrator) load(ctx context.Context, e *entry) error {
	e.drop()
	defer o.weigh(e)
	var run machine.Running
	var next uint64
	recorded := 0
	for r, err := range o.cfg.Store.Read(ctx, e.id, 0) {
		if err != nil {
			return fmt.Errorf("read %s: %w", e.id, err)
		}
		rec, err := o.cfg.Catalog.Open(r)
		if err != nil {
			return err
		}
		if run == nil {
			stepped, _ := rec.Event.(machine.Stepped)
			began := stepped.Started()
			if began == nil {
				return fmt.Errorf("%s begins with a %s that starts nothing", e.id, r.Type)
			}
			m := o.versions[version{began.Saga, began.Version}]
			if m == nil {
				return fmt.Errorf("%s was begun by version %d of saga %s, which this program does not have", e.id, began.Version, began.Saga)
			}
			run = m.New(e.id)
			e.started = r.Created
		}
		if err := machine.Refold(run, o.cfg.Catalog, rec.Event); err != nil {
			return err
		}
		next, e.lastAt = r.Revision+1, rec.OccurredAt()
		recorded += len(r.Data) + len(r.Meta)
	}
	e.run, e.next, e.resume, e.recorded = run, next, true, recorded
	o.metrics.loaded.Inc()
	return nil
}
