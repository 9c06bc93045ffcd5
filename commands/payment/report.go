package payment

import (
	"fmt"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

// Report is the reactor's: what the provider said. Outcome is one of payment.authorised, .declined, .action_required,
// .authorisation_expired, .outcome_unknown, .void_succeeded, .void_failed.
type Report struct {
	OrderID string
	Outcome es.Event
}

func (Report) CommandType() string { return "payment.report" }
func (c Report) Key() string       { return c.OrderID }

func (c Report) Decide(p Payment) ([]es.Event, error) {
	n, _ := events.AttemptOf(c.Outcome)
	a := p.Attempt(n)
	if n < 1 || a.State == "" {
		return es.Reject(NoAttempt, "the payment of %s has no attempt %d", c.OrderID, n)
	}
	switch e := c.Outcome.(type) {
	case events.PaymentAuthorised:
		e.ExpiresAt = es.Micro(e.ExpiresAt)
		return a.authorised(e)
	case events.PaymentDeclined:
		return a.declined(e)
	case events.PaymentActionRequired:
		e.Action.ExpiresAt = es.Micro(e.Action.ExpiresAt)
		return when(a.State == Pending || a.State == Unknown, e)
	case events.PaymentAuthorisationExpired:
		return when(a.State == Authorised, e)
	case events.PaymentOutcomeUnknown:
		if e.Operation == events.OperationVoid {
			return when(a.Void == VoidRequested, e)
		}
		return when(a.State == Pending, e)
	case events.PaymentVoidFailed:
		return when((a.Void == VoidRequested || a.Void == VoidUnknown) && e.N == a.Voids, e)
	case events.PaymentVoidSucceeded:
		return a.voidSucceeded(e)
	}
	return es.Reject(Invalid, "%s is no outcome", c.Outcome.EventType())
}

// when keeps an outcome that moves the attempt forward. Any other is older news.
func when(forward bool, e es.Event) ([]es.Event, error) {
	if !forward {
		return es.Nothing()
	}
	return es.Facts(e)
}

// authorised keeps money that is held. Another amount than was asked for is given back at once: the attempt is declined.
func (a Attempt) authorised(e events.PaymentAuthorised) ([]es.Event, error) {
	switch {
	case a.State.Open() && e.Amount == a.Amount:
		return es.Facts(e)
	case a.State.Open():
		a.Held, a.Reference = e.Amount, e.Reference
		facts := []es.Event{events.PaymentDeclined{
			OrderID: e.OrderID, Attempt: e.Attempt, Code: DeclinedAmountMismatch, Reference: e.Reference, Held: e.Amount,
			Detail: fmt.Sprintf("asked for %s, the provider held %s", a.Amount, e.Amount),
		}}
		return es.Facts(a.alsoVoid(e.OrderID, facts)...)
	case a.Reference == e.Reference && (a.State != Declined || a.DeclineCode == DeclinedAmountMismatch):
		return es.Nothing()
	case a.Reference != "" && (a.State == Authorised || a.State == Voided || a.State == Expired):
		// Another charge under the attempt's key. Its void would be taken for the first one's: people decide.
		return a.contradict(events.PaymentOutcomeContradicted{
			OrderID: e.OrderID, Attempt: e.Attempt, State: string(a.State), Reported: e.EventType() + " " + e.Reference,
		})
	}
	facts, err := a.contradict(events.PaymentOutcomeContradicted{
		OrderID: e.OrderID, Attempt: e.Attempt, State: string(a.State), Reported: e.EventType(), Amount: e.Amount, Reference: e.Reference,
	})
	if len(facts) == 0 || err != nil {
		return facts, err
	}
	a.Held, a.Reference = e.Amount, e.Reference
	return es.Facts(a.alsoVoid(e.OrderID, facts)...)
}

// alsoVoid adds the request to void what is held, unless one is under way.
func (a Attempt) alsoVoid(orderID string, facts []es.Event) []es.Event {
	if a.Void == VoidRequested || a.Void == VoidUnknown {
		return facts
	}
	key := fmt.Sprintf("%s/%d/void/%d", orderID, a.N, a.Voids+1)
	return append(facts, a.void(orderID, key))
}

func (a Attempt) declined(e events.PaymentDeclined) ([]es.Event, error) {
	switch {
	case a.State.Open():
		e.Held = events.Money{} // a decline holds nothing
		return es.Facts(e)
	case a.State == Declined || a.State == Barred || a.State == Voided || a.State == Expired:
		return es.Nothing() // no money either way
	}
	return a.contradict(events.PaymentOutcomeContradicted{
		OrderID: e.OrderID, Attempt: e.Attempt, State: string(a.State), Reported: e.EventType(), Reference: e.Reference,
	})
}

func (a Attempt) voidSucceeded(e events.PaymentVoidSucceeded) ([]es.Event, error) {
	switch a.Void {
	case NoVoid:
		return es.Reject(Invalid, "no void of attempt %d of %s was requested", e.Attempt, e.OrderID)
	case VoidSucceeded:
		return es.Nothing()
	case VoidRequested, VoidUnknown, VoidFailed:
	}
	e.Amount = events.Money{Amount: a.Held.Amount, Currency: a.Amount.Currency}
	if a.Held.Currency != "" {
		e.Amount = a.Held
	}
	if e.Reference == "" {
		e.Reference = a.Reference
	}
	return es.Facts(e)
}

// contradict keeps a contradiction once.
func (a Attempt) contradict(e events.PaymentOutcomeContradicted) ([]es.Event, error) {
	if a.Contradiction == contradiction(e) {
		return es.Nothing()
	}
	return es.Facts(e)
}

func contradiction(e events.PaymentOutcomeContradicted) string {
	return e.Reported + " " + e.Reference
}
