package checks

import (
	"fmt"
	"maps"
	"slices"

	orders "github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
)

// shelf is one SKU, counted.
type shelf struct {
	onHand, reserved int
	revision         uint64
	promises         map[string]*promise
	short            bool // an adjustment left more promised than there is
}

// promise is a reservation.
type promise struct {
	order                            string
	quantity, open, committed, freed int
	revision                         uint64
	recorded, refused, ended         bool
}

func (b *books) shelf(sku string) *shelf {
	s := b.shelves[sku]
	if s == nil {
		s = &shelf{promises: map[string]*promise{}}
		b.shelves[sku] = s
	}
	return s
}

func (s *shelf) promise(id, order string) *promise {
	p := s.promises[id]
	if p == nil {
		p = &promise{order: order}
		s.promises[id] = p
	}
	return p
}

// move counts an event, and says what no event may do.
func (s *shelf) move(rec es.Recorded, out *doctor.Report) {
	s.revision = rec.Revision
	switch e := rec.Event.(type) {
	case events.StockReceived:
		s.onHand += e.Quantity
	case events.StockRestocked:
		s.onHand += e.Quantity
	case events.StockWrittenOff:
		s.onHand -= e.Quantity
	case events.StockAdjusted:
		if s.onHand += e.Change; s.onHand != e.OnHand {
			out.Find(doctor.At("I5", rec, "the count it leaves is not what the events add up to").Values(s.onHand, e.OnHand))
		}
		s.short = s.reserved > s.onHand
	case events.StockReserved:
		p := s.promise(e.ReservationID, e.OrderID)
		if p.quantity > 0 || p.ended {
			out.Find(doctor.At("I5", rec, "reservation %s is made a second time, or after its release", e.ReservationID))
		}
		p.quantity, p.open, p.recorded, p.revision = p.quantity+e.Quantity, p.open+e.Quantity, e.Recorded, rec.Revision
		s.reserved += e.Quantity
	case events.StockReservationRefused:
		s.promise(e.ReservationID, e.OrderID).refused = true
	case events.StockReleased:
		p := s.promise(e.ReservationID, e.OrderID)
		p.open, p.freed, p.ended, p.revision = p.open-e.Quantity, p.freed+e.Quantity, true, rec.Revision
		s.reserved -= e.Quantity
		s.overdrawn(out, rec, e.ReservationID, p)
	case events.StockCommitted:
		p := s.promise(e.ReservationID, e.OrderID)
		p.open, p.committed, p.revision = p.open-e.Quantity, p.committed+e.Quantity, rec.Revision
		s.reserved, s.onHand = s.reserved-e.Quantity, s.onHand-e.Quantity
		s.overdrawn(out, rec, e.ReservationID, p)
	}
	if s.onHand < 0 || s.reserved > s.onHand && !s.short {
		out.Find(doctor.At("I5", rec, "more is promised than there is").Values(fmt.Sprintf("at most %d", s.onHand), s.reserved))
		s.short = true // said once
	}
	if s.reserved <= s.onHand {
		s.short = false
	}
}

func (s *shelf) overdrawn(out *doctor.Report, rec es.Recorded, id string, p *promise) {
	if p.open < 0 {
		out.Find(doctor.At("I5", rec, "reservation %s gives more than it holds", id).
			Values(p.quantity, fmt.Sprintf("%d committed and %d released", p.committed, p.freed)))
	}
}

// checkStock is the rest of I5: sums, and promises against orders.
func (b *books) checkStock() {
	b.out.Checked["skus"] = len(b.shelves)
	for _, sku := range slices.Sorted(maps.Keys(b.shelves)) {
		s := b.shelves[sku]
		name := es.StreamID{Category: "stock", Key: sku}.String()
		open := 0
		for _, id := range slices.Sorted(maps.Keys(s.promises)) {
			p := s.promises[id]
			open += p.open
			if p.open > 0 || p.committed > 0 {
				b.promised(name, sku, id, p)
			}
		}
		if open != s.reserved {
			b.out.Find(doctor.Finding{Invariant: "I5", Stream: name, Problem: "reserved is not the sum of the open reservations"}.Values(open, s.reserved))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b.orders)) {
		if o := b.orders[key]; b.atRest(o) {
			b.kept(o)
		}
	}
}

// promised holds a reservation to the order that it is for.
func (b *books) promised(stream, sku, id string, p *promise) {
	f := doctor.Finding{Invariant: "I5", Stream: stream, Revision: &p.revision}
	o := b.orders[p.order]
	if o == nil || o.state.Status == orders.None {
		f.Problem = fmt.Sprintf("reservation %s is of order %s, which does not exist", id, p.order)
		b.out.Find(f)
		return
	}
	i := slices.IndexFunc(o.state.Placed.Lines, func(l events.OrderLine) bool { return l.ReservationID == id && l.SKU == sku })
	switch {
	case i < 0:
		f.Problem = fmt.Sprintf("reservation %s is of no line of order %s", id, p.order)
		b.out.Find(f)
	case o.state.Placed.Lines[i].Quantity != p.quantity:
		f.Problem = fmt.Sprintf("reservation %s is not of its line's quantity", id)
		b.out.Find(f.Values(o.state.Placed.Lines[i].Quantity, p.quantity))
	}
	ended := o.state.Status == orders.Rejected || o.state.Status == orders.Cancelled || o.state.Status == orders.Closed
	if p.open > 0 && ended && b.atRest(o) && (!p.recorded || !b.excused(o)) {
		f.Problem = fmt.Sprintf("reservation %s is open, its order is %s", id, o.state.Status)
		b.out.Find(f.Values(0, p.open))
	}
}

// kept: every unit that an order still counts on is promised to it, or has left the house for it.
func (b *books) kept(o *order) {
	for i, l := range o.state.Placed.Lines {
		if i >= len(o.state.Lines) || o.state.Status == orders.Rejected {
			continue
		}
		want := l.Quantity - o.state.Lines[i].Cancelled
		have := 0
		var p *promise
		if s := b.shelves[l.SKU]; s != nil {
			p = s.promises[l.ReservationID]
		}
		if p != nil {
			have = p.open + p.committed
		}
		if have != want && (!unsent(p, want) || !b.excused(o)) {
			b.out.Find(doctor.Finding{
				Invariant: "I5", Stream: es.StreamID{Category: "order", Key: o.key}.String(),
				Problem: fmt.Sprintf("line %d of an order that is %s: units of %s promised or sent", l.Line, o.state.Status, l.SKU),
			}.Values(want, have))
		}
	}
}

// checkLevels holds the stock read model to what was counted here, where both have come as far.
func (b *books) checkLevels() {
	for row := range b.seen.Rows("stock_levels") {
		s := b.shelves[row.Key]
		if s == nil || row.Revision != s.revision {
			continue
		}
		have, want := fmt.Sprintf("%v and %v", row.Columns["on_hand"], row.Columns["reserved"]), fmt.Sprintf("%d and %d", s.onHand, s.reserved)
		if have != want {
			b.out.Find(doctor.Finding{
				Invariant: "I5", Stream: es.StreamID{Category: "stock", Key: row.Key}.String(), Row: row.Name, Problem: "on hand and reserved",
			}.Values(want, have))
		}
	}
}
