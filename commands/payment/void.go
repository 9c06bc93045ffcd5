package payment

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

// Void gives an attempt's money back before it is captured. Attempt 0 is the one that is open or holds money, else the newest. An
// attempt that has not been made is barred; one that took nothing has nothing to undo, and says so with an amount of 0.
type Void struct {
	OrderID string
	Attempt int
}

func (Void) CommandType() string { return "payment.void" }
func (c Void) Key() string       { return c.OrderID }

func (c Void) Decide(p Payment) ([]es.Event, error) {
	n := c.Attempt
	if n < 1 {
		n = p.current()
	}
	a := p.Attempt(n)
	switch {
	case a.Void == VoidRequested || a.Void == VoidUnknown || a.Void == VoidSucceeded:
		return es.Nothing()
	case !a.State.Open() && a.Held.Amount == 0:
		return es.Facts(events.PaymentVoidSucceeded{
			OrderID: c.OrderID, Attempt: n, Amount: events.Money{Currency: p.Total.Currency}, Reference: a.Reference,
		})
	}
	return es.Facts(a.void(c.OrderID, ""))
}

// void is the request for the attempt's next void.
func (a Attempt) void(orderID, key string) events.PaymentVoidRequested {
	return events.PaymentVoidRequested{
		OrderID: orderID, Attempt: a.N, N: a.Voids + 1, Key: key, Amount: a.Held, Reference: a.Reference,
	}
}
