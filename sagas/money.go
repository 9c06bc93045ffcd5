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

func (m *Money) now(s payment.State, held bool, at saga.At) {
	if at.Revision >= m.at {
		m.State, m.Held, m.at = s, held, at.Revision
	}
}

// Free tells whether it is known that nothing is held, nor will be.
func (m *Money) Free() bool {
	return m.State == payment.Voided || m.State == payment.Expired || m.State == payment.Declined && !m.Held
}

// heard is how each outcome changes the Money in S. What a step makes of a void that failed, it adds itself.
func heard[S any](money func(*S) *Money) []saga.Reply[S] {
	return []saga.Reply[S]{
		saga.On(func(s *S, _ events.PaymentAuthorised, at saga.At) { money(s).now(payment.Authorised, true, at) }),
		saga.On(func(s *S, _ events.PaymentActionRequired, at saga.At) {
			money(s).now(payment.ActionRequired, false, at)
		}),
		saga.On(func(s *S, _ events.PaymentAuthorisationExpired, at saga.At) { money(s).now(payment.Expired, false, at) }),
		saga.On(func(s *S, _ events.PaymentVoidSucceeded, at saga.At) { money(s).now(payment.Voided, false, at) }),
		saga.On(func(s *S, e events.PaymentOutcomeUnknown, at saga.At) {
			if e.Operation == events.OperationAuthorise {
				money(s).now(payment.Unknown, false, at)
			}
		}),
		saga.On(func(s *S, e events.PaymentOutcomeContradicted, at saga.At) {
			if e.Amount.Amount > 0 { // money is held after all, and to be given back: it is too late to use it
				money(s).now(payment.Declined, true, at)
			}
		}),
	}
}

func voidFailed[S any](_ *S, e events.PaymentVoidFailed, _ saga.At) es.Code { return es.Code(e.Code) }
