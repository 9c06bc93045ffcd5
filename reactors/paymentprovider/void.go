package paymentprovider

import (
	"context"
	"fmt"

	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/reactor"
)

func (r *Reactor) void(ctx context.Context, in intent, e events.PaymentVoidRequested, m memo) (reactor.Next, error) {
	a := in.payment.Attempt(e.Attempt)
	if a.Voids != e.N {
		return reactor.Done(), nil // it had its outcome, and another followed
	}
	switch a.NextVoid() {
	case payment.VoidDone:
		return reactor.Done(), nil
	case payment.VoidWait:
		return reactor.Again(m), nil
	case payment.VoidEmpty:
		return reactor.Done(), r.voided(ctx, in, e, "")
	}
	if a.Reference == "" {
		return reactor.Next{}, fmt.Errorf("void of attempt %d of %s: the charge is not known", e.Attempt, in.Stream)
	}
	req := Request{Key: in.key(e.Key), OrderID: e.OrderID, Attempt: e.Attempt, Reference: a.Reference}
	answer := Answer{Outcome: NotFound}
	if in.now.Sub(in.Created) >= r.cfg.RepeatWithin {
		answer = r.cfg.Provider.Lookup(ctx, req.Key)
	}
	if answer.Outcome == NotFound {
		answer = r.cfg.Provider.Void(ctx, req)
	}
	switch {
	case ctx.Err() != nil:
		return reactor.Next{}, ctx.Err()
	case answer.Outcome == Approved:
		return reactor.Done(), r.voided(ctx, in, e, a.Reference)
	case answer.Outcome == Declined:
		return reactor.Done(), r.report(ctx, in, events.PaymentVoidFailed{
			OrderID: e.OrderID, Attempt: e.Attempt, N: e.N, Code: answer.Code, Detail: answer.Detail, Reference: a.Reference,
		}, answer.Code)
	case a.Void == payment.VoidRequested:
		err := r.report(ctx, in, events.PaymentOutcomeUnknown{
			OrderID: e.OrderID, Attempt: e.Attempt, Operation: events.OperationVoid, Detail: answer.unknown(),
		})
		if err != nil {
			return reactor.Next{}, err
		}
	}
	return reactor.Again(m), nil
}

func (r *Reactor) voided(ctx context.Context, in intent, e events.PaymentVoidRequested, reference string) error {
	return r.report(ctx, in, events.PaymentVoidSucceeded{OrderID: e.OrderID, Attempt: e.Attempt, Reference: reference})
}
