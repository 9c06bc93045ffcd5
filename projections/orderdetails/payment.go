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
	State     string                `json:"state"` // pending, unknown, action_required, authorised, declined, expired, voided, barred
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

func (p *Payment) unknown(e events.PaymentOutcomeUnknown) {
	if e.Operation != events.OperationVoid {
		p.attempt(e.Attempt).State = "unknown"
	}
}

const actionRequired = "action_required"

func (p *Payment) action(e events.PaymentActionRequired) {
	a := p.attempt(e.Attempt)
	a.State, a.Action = actionRequired, &e.Action
}

func (p *Payment) authorised(e events.PaymentAuthorised) {
	a := p.attempt(e.Attempt)
	a.State, a.Held, a.ExpiresAt, a.Action = "authorised", e.Amount.Amount, e.ExpiresAt, nil
}

func (p *Payment) declined(e events.PaymentDeclined) {
	p.end(e.Attempt, "declined")
	p.attempt(e.Attempt).Held = e.Held.Amount
}

func (p *Payment) voided(n int) {
	a := p.attempt(n)
	switch a.State {
	case "":
		p.end(n, "barred")
	case "declined", "expired", "barred":
		p.end(n, a.State)
	default:
		p.end(n, "voided")
	}
}

func (p *Payment) contradicted(e events.PaymentOutcomeContradicted) {
	if e.Amount.Amount > 0 {
		p.attempt(e.Attempt).Held = e.Amount.Amount
	}
}

// end leaves an attempt without money.
func (p *Payment) end(n int, state string) {
	*p.attempt(n) = Attempt{N: n, State: state}
}

// derive says the status from the attempt that counts: one that is open or holds money, else the last.
func (p *Payment) derive(total int64) {
	var current Attempt
	p.Authorised = 0
	counts := func(a Attempt) bool {
		return a.Held > 0 || a.State == "pending" || a.State == "unknown" || a.State == actionRequired
	}
	for _, a := range p.Attempts {
		p.Authorised += a.Held
		if a.State != "barred" && (!counts(current) || counts(a)) {
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
	case current.State == "expired":
		p.Status = "voided"
	default:
		p.Status = current.State
	}
}
