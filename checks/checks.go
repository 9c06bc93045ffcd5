package checks

import (
	"fmt"

	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
)

// books are orders, shelves and imports, folded from the log.
type books struct {
	orders  map[string]*order
	shelves map[string]*shelf
	imports map[string]*taken // by stream

	seen doctor.Seen
	out  *doctor.Report // takes what is found now
}

func newBooks() *books {
	return &books{orders: map[string]*order{}, shelves: map[string]*shelf{}, imports: map[string]*taken{}}
}

// All are the checks of one examination. simulator is the URL of the payment provider's simulator; another provider has no ledger to
// compare, and it is empty.
func All(simulator string) []doctor.Check {
	b := newBooks()
	look := func(at func()) func(doctor.Seen, *doctor.Report) {
		return func(s doctor.Seen, r *doctor.Report) {
			b.seen, b.out = s, r
			at()
		}
	}
	l := &ledger{at: simulator}
	all := []doctor.Check{
		{Name: "money", Invariants: "I4 I6", Fold: b.fold, Awaits: b.awaits, Look: look(func() { b.checkMoney(); b.checkIntents() })},
		{Name: "stock", Invariants: "I5", Look: look(func() { b.checkStock(); b.checkLevels() })},
		{Name: "imports", Invariants: "I4 I5", Look: look(b.checkImports)},
	}
	if simulator == "" {
		return append(all, doctor.Check{Name: "the provider's ledger", Look: look(func() { b.out.Skipf("the provider's ledger: no address of a simulator") })})
	}
	return append(all,
		doctor.Check{Name: "the provider's ledger is read", Outside: l.read},
		doctor.Check{Name: "the ledger is compared", Invariants: "I4", Look: look(func() { b.compareLedger(l) })},
	)
}

func (b *books) fold(e es.Recorded, r *doctor.Report) {
	switch e.Stream.Category {
	case "order":
		b.order(e.Stream.Key).evolve(e)
	case "payment":
		b.order(e.Stream.Key).pay(e)
	case "stock":
		b.shelf(e.Stream.Key).move(e, r)
	case "import":
		b.imported(e)
	}
}

// awaits: a saga of the order waits for its payment.
func (b *books) awaits(key string) string {
	if o := b.orders[key]; o != nil && o.asking() {
		return "the payment's outcome"
	}
	return ""
}

// checkIntents: what the provider owes, the payment reactor must ask for.
func (b *books) checkIntents() {
	if b.seen.Attended == nil {
		return
	}
	for key, o := range b.orders {
		for _, a := range o.payment.Attempts {
			if !a.State.Open() && a.NextVoid() == payment.VoidDone {
				continue
			}
			attended := false
			for _, id := range o.attempt(a.N).intents {
				attended = attended || b.seen.Attended[id]
			}
			if !attended {
				b.out.Find(doctor.Finding{
					Invariant: "I6", Stream: payments(key), Row: "daybook.reactor_waiting",
					Problem: fmt.Sprintf("the provider is never asked about attempt %d, which is %s, void %q", a.N, a.State, a.Void),
				})
			}
		}
	}
}

// money is the currency's amount for people.
func money(amount int64, currency string) string {
	return events.Money{Amount: amount, Currency: currency}.String()
}
