package payment_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/modeltest"
	"github.com/daybook-dev/daybook/kit/es"
)

// provider is the other side: what it truly holds, whatever reports say and in whatever order they arrive.
type provider struct {
	charges map[int]*charge
}

type charge struct {
	outcome string // held, declined, action; decided once, at the first call that reaches it
	held    int64
	ref     string
}

// authorise is a call under the attempt's key: a repeat gives what the first gave.
func (p *provider) authorise(t *rapid.T, n int, amount int64) es.Event {
	c := p.charges[n]
	if c == nil {
		c = &charge{ref: fmt.Sprint("ch_", n)}
		switch c.outcome = rapid.SampledFrom([]string{"held", "declined", "action", "wrong"}).Draw(t, "outcome"); c.outcome {
		case "held":
			c.held = amount
		case "wrong":
			c.held = amount + 1
		}
		p.charges[n] = c
	}
	return c.report(n, amount)
}

func (c *charge) report(n int, amount int64) es.Event {
	switch c.outcome {
	case "declined":
		return events.PaymentDeclined{OrderID: "o1", Attempt: n, Code: "card_declined", Reference: c.ref}
	case "action":
		return events.PaymentActionRequired{OrderID: "o1", Attempt: n, Reference: c.ref}
	case "wrong":
		amount++
	}
	return events.PaymentAuthorised{OrderID: "o1", Attempt: n, Amount: gbp(amount), Reference: c.ref}
}

func (p *provider) void(n int) es.Event {
	if c := p.charges[n]; c != nil {
		if c.outcome == "action" {
			c.outcome = "declined" // cancelled: it can no longer be completed
		}
		c.held = 0
	}
	return events.PaymentVoidSucceeded{OrderID: "o1", Attempt: n}
}

// run is a payment, the provider, and the reactor between them.
type run struct {
	t        *rapid.T
	state    payment.Payment
	provider provider
	said     []es.Event // every report ever made: any may come again
	voids    map[int]bool
}

func (r *run) do(c es.Decision[payment.Payment]) {
	facts, err := c.Decide(r.state)
	if err != nil && es.Rejected(err) == "" {
		r.t.Fatalf("%#v: %v", c, err)
	}
	for _, e := range facts {
		before := r.state
		r.state.Evolve(e)
		if w, ok := e.(events.PaymentAuthorisationRequested); ok {
			for _, a := range before.Attempts {
				if a.N != w.Attempt && (a.State.Open() || a.Held.Amount > 0) {
					r.t.Fatalf("attempt %d began while %d is %s and holds %s", w.Attempt, a.N, a.State, a.Held)
				}
			}
		}
	}
}

func (r *run) report(e es.Event) {
	r.said = append(r.said, e)
	r.do(payment.Report{OrderID: "o1", Outcome: e})
}

// react is the reactor looking at attempt n: it does what is open, if anything.
func (r *run) react(n int, answered bool) (busy bool) {
	a := r.state.Attempt(n)
	if a.State == payment.Pending || a.State == payment.Unknown {
		outcome := r.provider.authorise(r.t, n, a.Amount.Amount)
		if !answered { // the call arrived, its answer did not
			outcome = events.PaymentOutcomeUnknown{OrderID: "o1", Attempt: n, Operation: "authorise"}
		}
		r.report(outcome)
		return true
	}
	switch a.NextVoid() {
	case payment.VoidCall:
		outcome := r.provider.void(n)
		if !answered {
			outcome = events.PaymentVoidFailed{OrderID: "o1", Attempt: n, N: a.Voids, Code: "try_later"}
		}
		r.report(outcome)
	case payment.VoidEmpty:
		r.report(events.PaymentVoidSucceeded{OrderID: "o1", Attempt: n})
	case payment.VoidDone, payment.VoidWait:
		return false
	}
	return true
}

// I4, the payment's part: at rest the state holds what the provider holds, a voided attempt holds nothing on either
// side, and no attempt that was refused does.
func TestMoneyIsConserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &run{t: t, provider: provider{map[int]*charge{}}, voids: map[int]bool{}}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			n := rapid.IntRange(1, 3).Draw(t, "attempt")
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0, 1:
				r.do(payment.Authorise{OrderID: "o1", Attempt: n, Amount: gbp(500)})
			case 2:
				r.do(payment.Void{OrderID: "o1", Attempt: n})
				r.voids[n] = true
			case 3:
				r.react(n, true)
			case 4:
				r.react(n, false)
			case 5: // the buyer completes the action, and the provider says so
				if c := r.provider.charges[n]; c != nil && c.outcome == "action" {
					c.outcome, c.held = "held", 500
					r.report(c.report(n, 500))
				}
			default: // an old report comes again
				if len(r.said) > 0 {
					r.do(payment.Report{OrderID: "o1", Outcome: rapid.SampledFrom(r.said).Draw(t, "again")})
				}
			}
		}
		// Rest: the saga asks again for the voids that failed, the reactor does all that is open.
		for again, rounds := true, 0; again; rounds++ {
			again = false
			for n := 1; n <= 3; n++ {
				if a := r.state.Attempt(n); a.Void == payment.VoidFailed || r.voids[n] && a.Void == payment.NoVoid {
					r.do(payment.Void{OrderID: "o1", Attempt: n})
				}
				again = r.react(n, true) || again
			}
			if rounds > 50 {
				t.Fatalf("never at rest: %+v", r.state)
			}
		}
		holding := 0
		for n := 1; n <= 3; n++ {
			a := r.state.Attempt(n)
			var truly int64
			if c := r.provider.charges[n]; c != nil {
				truly = c.held
			}
			if a.Held.Amount != truly {
				t.Fatalf("attempt %d: the provider holds %d, the state says %+v", n, truly, a)
			}
			if truly > 0 {
				holding++
				if r.voids[n] || a.State != payment.Authorised {
					t.Fatalf("attempt %d holds %d and should not: %+v", n, truly, a)
				}
			}
		}
		if holding > 1 {
			t.Fatalf("%d attempts hold money", holding)
		}
	})
}

func TestMain(m *testing.M) { modeltest.Main(m) }
