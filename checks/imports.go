package checks

import (
	"maps"
	"slices"

	orders "github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
)

// taken is an import of another system's history. While it has not ended, as many orders as its window may lack stock and money.
type taken struct {
	began      events.ImportBegan
	ended      bool
	incomplete map[string]bool
}

func (b *books) imported(e es.Recorded) {
	switch i := e.Event.(type) {
	case events.ImportBegan:
		b.imports[e.Stream.String()] = &taken{began: i, incomplete: map[string]bool{}}
	case events.ImportEnded:
		if t := b.imports[e.Stream.String()]; t != nil {
			t.ended = true
		}
	}
}

// excused tells whether what an order lacks is still to come: an import that has not ended recorded it or a return of it. The order
// is noted.
func (b *books) excused(o *order) bool {
	for _, name := range o.from {
		if t := b.imports[name]; t != nil && !t.ended && o.state.Placed.Recorded {
			t.incomplete[o.key] = true
			return true
		}
	}
	return false
}

// unpaid tells whether the money recorded is less far than the order: nothing received yet, or a return not yet paid back.
func (o *order) unpaid() bool {
	want, have := o.owes(), o.held()+o.recorded-o.returned
	return o.recorded == 0 && o.returned == 0 && o.held() == 0 || o.recorded == o.state.Placed.Total && o.returned < o.refunds && have > want
}

// unsent tells whether a reservation is one that is to be made or committed yet.
func unsent(p *promise, want int) bool {
	return p == nil || p.freed == 0 && !p.refused && p.quantity == want && p.open+p.committed == want
}

// checkImports says which imports have not ended, and holds each to its window.
func (b *books) checkImports() {
	for _, name := range slices.Sorted(maps.Keys(b.imports)) {
		t := b.imports[name]
		if t.ended {
			continue
		}
		whole := 0
		for _, o := range b.orders {
			if slices.Contains(o.from, name) && o.state.Status != orders.None {
				whole++
			}
		}
		b.out.Notef("%s is under way or was broken off, at %d of %d orders, of which %d are incomplete; run the import again to go on",
			name, whole, t.began.Orders, len(t.incomplete))
		if n := len(t.incomplete); n > t.began.Window {
			b.out.Find(doctor.Finding{Invariant: "I4", Stream: name, Problem: "more orders are incomplete than an import has under way at once"}.Values(t.began.Window, n))
		}
	}
	b.out.Checked["imports"] = len(b.imports)
}
