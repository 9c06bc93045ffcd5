package orchestrator

import (
	"context"
	"errors"
	"time"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

const (
	sendTimeout = 30 * time.Second
)

// sendOne sends a command and turns what comes of it into an answer, or into the time of the next try.
func (o *Orchestrator) sendOne(ctx context.Context, e *entry, f machine.Effect, r *round) {
	before, after := failpoint.EffectBefore, failpoint.EffectAfter
	if f.Direction == es.Undo {
		before, after = failpoint.UndoBefore, failpoint.UndoAfter
	}
	o.hit(before)
	limited, cancel := context.WithTimeout(ctx, sendTimeout)
	receipt, err := o.cfg.Handler.Send(limited, f.Command, f.Call(e.id))
	cancel()
	o.hit(after)
	outcome := "accepted"
	switch {
	case err == nil && receipt.Replayed:
		outcome = "repeated"
		o.accepted(e, f, receipt)
	case err == nil && len(receipt.Events) == 0: // it was done by a command with another id
		outcome = "already_done"
		r.answer(delivery{to: e.id, in: machine.Answer{Effect: f.ID}})
	case err == nil:
		r.mu.Lock()
		r.first[f.ID] = true
		r.mu.Unlock()
		o.accepted(e, f, receipt)
		r.answer(o.fromReceipt(e, receipt)...)
	case es.Rejected(err) != "":
		outcome = "refused"
		var rejection *es.Rejection
		errors.As(err, &rejection)
		r.answer(delivery{to: e.id, in: machine.Answer{Effect: f.ID, Code: rejection.Code, Message: rejection.Message}})
	case ctx.Err() != nil: // not ours to judge any more
		outcome = "given_up"
	case broken(err):
		outcome = "broken"
		o.failed(e, f, err, r, true)
	default:
		outcome = "failed"
		o.failed(e, f, err, r, false)
	}
	o.metrics.effects.WithLabelValues(e.id.Category, outcome).Inc()
}

// broken tells errors that no repeat of the same command can heal.
func broken(err error) bool {
	return errors.Is(err, es.ErrEventTooLarge) || errors.Is(err, es.ErrNUL) || errors.Is(err, es.ErrKeyReused) || errors.Is(err, es.ErrTooLarge)
}

// fromReceipt feeds a command's own events at once. Kafka brings them again, and is the path that recovers.
func (o *Orchestrator) fromReceipt(e *entry, receipt es.Receipt) (out []delivery) {
	for _, rec := range receipt.Records {
		if r := o.routes[rec.Type]; r == nil || !r.hears[e.id.Category] {
			continue
		}
		in, err := machine.HeardOf(o.cfg.Catalog, rec)
		if err != nil {
			o.cfg.Logger.Error("sagas: an event of a receipt cannot be read", "instance", e.id.String(), "error", err)
			continue
		}
		out = append(out, delivery{to: e.id, in: in, effect: in.Meta.Effect.ID})
	}
	return out
}

// accepted: the command has taken effect, the answer will come. It is sent again now and then all the same.
func (o *Orchestrator) accepted(e *entry, f machine.Effect, receipt es.Receipt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.sendingOf(f.ID)
	if !s.failing.IsZero() {
		*s = sending{}
	}
	s.tries++
	s.next = o.cfg.Now().Add(o.cfg.resends().After(s.tries))
	s.revision = receipt.Revision + 1 - min(receipt.Revision+1, uint64(len(receipt.Events)))
}

// failed: the same command again, later. What goes on failing is recorded as stuck, and tried more rarely.
func (o *Orchestrator) failed(e *entry, f machine.Effect, err error, r *round, broken bool) {
	o.complain("sagas: a command failed", "instance", e.id.String(), "command", f.Command.CommandType(), "stream", f.Command.Stream().String(), "error", err)
	e.mu.Lock()
	now := o.cfg.Now()
	s := e.sendingOf(f.ID)
	if s.failing.IsZero() {
		*s = sending{failing: now}
	}
	s.tries++
	s.err = err.Error()
	s.next = now.Add(o.cfg.retries().After(s.tries))
	stuck := broken || now.Sub(s.failing) >= o.cfg.StuckAfter
	if stuck {
		s.next = now.Add(o.cfg.stuckRetry)
	}
	already := e.run != nil && e.run.Status().Stuck != ""
	e.mu.Unlock()
	if stuck && !already {
		o.metrics.stuck.WithLabelValues(e.id.Category).Inc()
		r.answer(delivery{to: e.id, in: machine.Broken{Effect: f.ID, Message: err.Error()}})
	}
}
