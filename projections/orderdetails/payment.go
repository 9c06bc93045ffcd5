package orderdetails

import (
	"slices"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
)

// Payment is the order's money. Authorised is what the provider holds now; captured and refunded are sums.
type Payment struct {
	Status     string                `json:"status"`
	Authorised int64                 `json:"authorised"`
	Captured   int64                 `json:"captured"`
	Refunded   int64                 `json:"refunded"`
	Attempt    int                   `json:"attempt"` // the one that counts; 0: none was made
	ExpiresAt  time.Time             `json:"expires_at,omitzero"`
	Action     *events.PaymentAction `json:"action,omitempty"`
	Attempts   []Attempt             `json:"attempts,omitempty"`
}

// Attempt is one try to get the money. It is barred if its void came first.
type Attempt struct {
	N         int                   `json:"n"`
	State     events.AttemptState   `json:"state"`
	Held      int64                 `json:"held,omitempty"`
	ExpiresAt time.Time             `json:"expires_at,omitzero"`
	Action    *events.PaymentAction `json:"action,omitempty"`
}

// money folds an event of the payment's stream into the order's row.
func money[E es.Event](fold func(*Payment, E)) projection.Fold[Row] {
	return projection.On(func(r *Row, e E, _ es.Recorded) {
		r.Payment.Attempts = slices.Clone(r.Payment.Attempts)
		fold(&r.Payment, e)
		r.derive()
	})
}

func (p *Payment) attempt(n int) *Attempt {
	i := slices.IndexFunc(p.Attempts, func(a Attempt) bool { return a.N == n })
	if i < 0 {
		p.Attempts = append(p.Attempts, Attempt{N: n})
		i = len(p.Attempts) - 1
	}
	return &p.Attempts[i]
}

// heard takes over a fact about an attempt. One that has ended waits for nothing and expires no more.
func (p *Payment) heard(e es.Event) {
	n, _ := events.AttemptOf(e)
	a := p.attempt(n)
	after := events.AttemptMoney{State: a.State, Held: events.Money{Amount: a.Held}}.After(e)
	switch a.State, a.Held = after.State, after.Held.Amount; e := e.(type) {
	case events.PaymentActionRequired:
		a.Action = &e.Action
	case events.PaymentAuthorised:
		a.ExpiresAt, a.Action = e.ExpiresAt, nil
	case events.PaymentDeclined, events.PaymentAuthorisationExpired, events.PaymentVoidSucceeded:
		a.ExpiresAt, a.Action = time.Time{}, nil
	}
}

// derive says the status from the attempt that counts: one that is open or holds money, else the last.
func (p *Payment) derive(total int64) {
	var current Attempt
	p.Authorised = 0
	counts := func(a Attempt) bool {
		return a.Held > 0 || a.State.Open()
	}
	for _, a := range p.Attempts {
		p.Authorised += a.Held
		if a.State != events.AttemptBarred && (!counts(current) || counts(a)) {
			current = a
		}
	}
	p.Attempt, p.ExpiresAt, p.Action = current.N, current.ExpiresAt, current.Action
	switch {
	case p.Captured > 0 && p.Refunded >= p.Captured:
		p.Status = "refunded"
	case p.Captured > 0 && p.Refunded > 0:
		p.Status = "partly_refunded"
	case p.Captured > 0 && p.Captured < total:
		p.Status = "partly_captured"
	case p.Captured > 0:
		p.Status = "captured"
	case current.State == "":
		p.Status = none
	case current.State == events.AttemptExpired:
		p.Status = string(events.AttemptVoided)
	default:
		p.Status = string(current.State)
	}
}
