package checks

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	orders "github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
)

// order is one order with its money. The states are the aggregates' own; the sums are counted here once more.
type order struct {
	key      string
	from     []string // the imports that recorded it or a return of it
	state    orders.Order
	payment  payment.Payment
	attempts map[int]*attempt
	recorded int64 // received outside the provider
	returned int64 // given back outside the provider
	refunds  int64 // what its returns come to
	currency map[string]bool
}

// attempt is what the log knows of the provider's side of one attempt.
type attempt struct {
	held       int64
	asked      events.Money
	references map[string]bool // those that ever held money
	effect     es.UUID         // of the intent
	intents    []es.UUID       // event ids: to authorise, to void
}

func (b *books) order(key string) *order {
	o := b.orders[key]
	if o == nil {
		o = &order{key: key, attempts: map[int]*attempt{}, currency: map[string]bool{}}
		b.orders[key] = o
	}
	return o
}

func (o *order) evolve(e es.Recorded) {
	o.state.Evolve(e.Event)
	if e.Meta.Actor.Kind == "import" && !slices.Contains(o.from, e.Meta.Causation) {
		o.from = append(o.from, e.Meta.Causation)
	}
	if back, ok := e.Event.(events.OrderLinesReturned); ok {
		for _, l := range back.Lines {
			o.refunds += l.Refund
		}
	}
}

func (o *order) attempt(n int) *attempt {
	a := o.attempts[n]
	if a == nil {
		a = &attempt{references: map[string]bool{}}
		o.attempts[n] = a
	}
	return a
}

// hold notes what the provider is said to hold for an attempt from now on.
func (o *order) hold(n int, amount events.Money, reference string) {
	a := o.attempt(n)
	a.held = amount.Amount
	if amount.Amount > 0 {
		o.currency[amount.Currency] = true
		if reference != "" {
			a.references[reference] = true
		}
	}
}

func (o *order) pay(e es.Recorded) {
	o.payment.Evolve(e.Event)
	switch p := e.Event.(type) {
	case events.PaymentAuthorisationRequested:
		a := o.attempt(p.Attempt)
		a.asked, a.effect = p.Amount, e.Meta.Effect.ID
		a.intents = append(a.intents, e.ID)
	case events.PaymentVoidRequested:
		a := o.attempt(p.Attempt)
		a.intents = append(a.intents, e.ID)
	case events.PaymentAuthorised:
		o.hold(p.Attempt, p.Amount, p.Reference)
	case events.PaymentDeclined:
		o.hold(p.Attempt, p.Held, p.Reference)
	case events.PaymentOutcomeContradicted:
		if p.Amount.Amount > 0 {
			o.hold(p.Attempt, p.Amount, p.Reference)
		}
	case events.PaymentAuthorisationExpired:
		o.attempt(p.Attempt).held = 0
	case events.PaymentVoidSucceeded:
		o.attempt(p.Attempt).held = 0
	case events.PaymentRecorded:
		o.recorded += p.Amount.Amount
		o.currency[p.Amount.Currency] = true
	case events.PaymentRefundRecorded:
		o.returned += p.Amount.Amount
		o.currency[p.Amount.Currency] = true
	}
}

// asking tells whether the provider still owes an answer, or a person an action.
func (o *order) asking() bool {
	return slices.ContainsFunc(o.payment.Attempts, func(a payment.Attempt) bool {
		return a.State.Open() || a.NextVoid() != payment.VoidDone
	})
}

// held is what the provider holds.
func (o *order) held() (sum int64) {
	for _, a := range o.attempts {
		sum += a.held
	}
	return sum
}

// owes is what the order comes to, less what was cancelled and sent back.
func (o *order) owes() int64 {
	switch o.state.Status {
	case orders.Rejected, orders.Cancelled:
		return 0
	case orders.None, orders.Placed, orders.Confirmed, orders.Cancelling, orders.Closed:
	}
	return o.state.Placed.Total - o.refunds
}

// atRest tells whether nothing is to be expected of an order any more without somebody asking for it.
func (b *books) atRest(o *order) bool {
	switch o.state.Status {
	case orders.None, orders.Placed, orders.Cancelling:
		return false
	case orders.Confirmed, orders.Rejected, orders.Cancelled, orders.Closed:
	}
	if o.state.Placed.Recorded && o.state.Status != orders.Closed && o.state.Status != orders.Cancelled || o.asking() {
		return false
	}
	return b.seen.Resting(o.key)
}

// checkMoney is I4 without the provider's side.
func (b *books) checkMoney() {
	resting := 0
	for _, key := range slices.Sorted(maps.Keys(b.orders)) {
		o := b.orders[key]
		s := payments(key)
		if o.state.Status == orders.None {
			b.out.Find(doctor.Finding{Invariant: "I4", Stream: s, Problem: "there is money of an order that does not exist"})
			continue
		}
		for c := range o.currency {
			if want := o.state.Placed.Currency; c != want {
				b.out.Find(doctor.Finding{Invariant: "I4", Stream: s, Problem: "money in another currency than the order's"}.Values(want, c))
			}
		}
		if !b.atRest(o) {
			continue
		}
		resting++
		if want, have := o.owes(), o.held()+o.recorded-o.returned; want != have && (!o.unpaid() || !b.excused(o)) {
			b.out.Find(doctor.Finding{
				Invariant: "I4", Stream: s,
				Problem: fmt.Sprintf("the order is %s; held %d, received %d, given back %d", o.state.Status, o.held(), o.recorded, o.returned),
			}.Values(money(want, o.state.Placed.Currency), money(have, o.state.Placed.Currency)))
		}
	}
	b.out.Checked["orders"], b.out.Checked["orders at rest"] = len(b.orders), resting
}

func (o *order) numbers() []int {
	return slices.SortedFunc(maps.Keys(o.attempts), cmp.Compare[int])
}
