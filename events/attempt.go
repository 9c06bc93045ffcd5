package events

import "github.com/daybook-dev/daybook/kit/es"

// AttemptState is how far one try to get an order's money has come.
//
//	pending ─▶ unknown ─▶ action_required ─▶ authorised ─▶ voided
//	   └──────────┴──────────────┴─▶ declined      └─▶ expired
//
// A void that comes before its attempt bars it.
type AttemptState string

// The states of an attempt; "" before anything was heard of it.
const (
	AttemptPending        AttemptState = "pending"
	AttemptUnknown        AttemptState = "unknown"
	AttemptActionRequired AttemptState = "action_required"
	AttemptAuthorised     AttemptState = "authorised"
	AttemptDeclined       AttemptState = "declined"
	AttemptExpired        AttemptState = "expired"
	AttemptVoided         AttemptState = "voided"
	AttemptBarred         AttemptState = "barred" // voided before it was made
)

// Open tells whether the provider's answer is still to come.
func (s AttemptState) Open() bool {
	return s == AttemptPending || s == AttemptUnknown || s == AttemptActionRequired
}

// AttemptMoney is what facts tell of one attempt. The aggregate, the read model and the sagas fold the same one.
type AttemptMoney struct {
	State AttemptState
	Held  Money // by the provider, as far as known
}

// After is the attempt after a fact about it. A fact that says nothing of state or money leaves it as it is.
func (a AttemptMoney) After(e es.Event) AttemptMoney {
	nothing := Money{Currency: a.Held.Currency}
	switch e := e.(type) {
	case PaymentAuthorisationRequested:
		a.State = AttemptPending
	case PaymentOutcomeUnknown:
		if e.Operation != OperationVoid {
			a.State = AttemptUnknown
		}
	case PaymentActionRequired:
		a.State = AttemptActionRequired
	case PaymentAuthorised:
		a = AttemptMoney{AttemptAuthorised, e.Amount}
	case PaymentDeclined:
		a = AttemptMoney{AttemptDeclined, e.Held}
	case PaymentAuthorisationExpired:
		a = AttemptMoney{AttemptExpired, nothing}
	case PaymentVoidSucceeded:
		a = AttemptMoney{a.State.voided(), nothing}
	case PaymentOutcomeContradicted:
		if e.Amount.Amount > 0 {
			a.Held = e.Amount
		}
	}
	return a
}

func (s AttemptState) voided() AttemptState {
	switch s {
	case "":
		return AttemptBarred
	case AttemptDeclined, AttemptExpired, AttemptVoided, AttemptBarred: // as they are
		return s
	case AttemptPending, AttemptUnknown, AttemptActionRequired, AttemptAuthorised:
	}
	return AttemptVoided
}

// AttemptOf is the number of the attempt that a fact is about, if it is about one.
func AttemptOf(e es.Event) (n int, ok bool) {
	switch e := e.(type) {
	case PaymentAuthorisationRequested:
		return e.Attempt, true
	case PaymentAuthorised:
		return e.Attempt, true
	case PaymentDeclined:
		return e.Attempt, true
	case PaymentActionRequired:
		return e.Attempt, true
	case PaymentAuthorisationExpired:
		return e.Attempt, true
	case PaymentOutcomeUnknown:
		return e.Attempt, true
	case PaymentVoidRequested:
		return e.Attempt, true
	case PaymentVoidSucceeded:
		return e.Attempt, true
	case PaymentVoidFailed:
		return e.Attempt, true
	case PaymentOutcomeContradicted:
		return e.Attempt, true
	}
	return 0, false
}
