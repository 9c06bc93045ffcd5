package sagas

import (
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
)

// Money is what a saga has heard of an order's payment. Its newest event counts, in whatever order they were heard.
type Money struct {
	State payment.State // Voided: nothing is held any more
	Held  bool          // money is held; also by a declined attempt, which gives it back
	at    uint64        // revision
}

// hear takes over what a fact makes of an attempt that was under way. Money that a contradiction finds held is to be given back: it is too late
// to use it.
func (m *Money) hear(e es.Event, at saga.At) {
	before := events.AttemptMoney{State: payment.Pending}
	after := before.After(e)
	if after == before || at.Revision < m.at {
		return
	}
	if after.State == payment.Pending {
		after.State = payment.Declined
	}
	m.State, m.Held, m.at = after.State, after.Held.Amount > 0, at.Revision
}

// Free tells whether it is known that nothing is held, nor will be.
func (m *Money) Free() bool {
	return m.State == payment.Voided || m.State == payment.Expired || m.State == payment.Declined && !m.Held
}

// heard is how each outcome changes the Money in S. What a step makes of a void that failed, it adds itself.
func heard[S any](money func(*S) *Money) []saga.Reply[S] {
	return []saga.Reply[S]{
		hears[S, events.PaymentAuthorised](money), hears[S, events.PaymentActionRequired](money), hears[S, events.PaymentAuthorisationExpired](money),
		hears[S, events.PaymentVoidSucceeded](money), hears[S, events.PaymentOutcomeUnknown](money), hears[S, events.PaymentOutcomeContradicted](money),
	}
}

func hears[S any, E es.Event](money func(*S) *Money) saga.Reply[S] {
	return saga.On(func(s *S, e E, at saga.At) { money(s).hear(e, at) })
}

func voidFailed[S any](_ *S, e events.PaymentVoidFailed, _ saga.At) es.Code { return es.Code(e.Code) }
