package doctor

import (
	"fmt"
	"maps"
	"slices"

	orders "github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
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

func (h *history) shelf(sku string) *shelf {
	s := h.shelves[sku]
	if s == nil {
		s = &shelf{promises: map[string]*promise{}}
		h.shelves[sku] = s
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
func (s *shelf) move(e es.Recorded, out *Report, rec es.Record) {
	s.revision = e.Revision
	switch e := e.Event.(type) {
	case events.StockReceived:
		s.onHand += e.Quantity
	case events.StockRestocked:
		s.onHand += e.Quantity
	case events.StockWrittenOff:
		s.onHand -= e.Quantity
	case events.StockAdjusted:
		if s.onHand += e.Change; s.onHand != e.OnHand {
			out.find(at("I5", rec, "the count it leaves is not what the events add up to").values(s.onHand, e.OnHand))
		}
		s.short = s.reserved > s.onHand
	case events.StockReserved:
		p := s.promise(e.ReservationID, e.OrderID)
		if p.quantity > 0 || p.ended {
			out.find(at("I5", rec, "reservation %s is made a second time, or after its release", e.ReservationID))
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
		out.find(at("I5", rec, "more is promised than there is").values(fmt.Sprintf("at most %d", s.onHand), s.reserved))
		s.short = true // said once
	}
	if s.reserved <= s.onHand {
		s.short = false
	}
}

func (s *shelf) overdrawn(out *Report, rec es.Record, id string, p *promise) {
	if p.open < 0 {
		out.find(at("I5", rec, "reservation %s gives more than it holds", id).
			values(p.quantity, fmt.Sprintf("%d committed and %d released", p.committed, p.freed)))
	}
}

// checkStock is the rest of I5: sums, and promises against orders.
func (h *history) checkStock() {
	for _, sku := range slices.Sorted(maps.Keys(h.shelves)) {
		s := h.shelves[sku]
		name := es.StreamID{Category: "stock", Key: sku}.String()
		open := 0
		for _, id := range slices.Sorted(maps.Keys(s.promises)) {
			p := s.promises[id]
			open += p.open
			if p.open > 0 || p.committed > 0 {
				h.promised(name, sku, id, p)
			}
		}
		if open != s.reserved {
			h.out.find(Finding{Invariant: "I5", Stream: name, Problem: "reserved is not the sum of the open reservations"}.values(open, s.reserved))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(h.orders)) {
		if o := h.orders[key]; h.atRest(o) {
			h.kept(o)
		}
	}
}

// promised holds a reservation to the order that it is for.
func (h *history) promised(stream, sku, id string, p *promise) {
	f := Finding{Invariant: "I5", Stream: stream, Revision: &p.revision}
	o := h.orders[p.order]
	if o == nil || o.state.Status == orders.None {
		f.Problem = fmt.Sprintf("reservation %s is of order %s, which does not exist", id, p.order)
		h.out.find(f)
		return
	}
	i := slices.IndexFunc(o.state.Placed.Lines, func(l events.OrderLine) bool { return l.ReservationID == id && l.SKU == sku })
	switch {
	case i < 0:
		f.Problem = fmt.Sprintf("reservation %s is of no line of order %s", id, p.order)
		h.out.find(f)
	case o.state.Placed.Lines[i].Quantity != p.quantity:
		f.Problem = fmt.Sprintf("reservation %s is not of its line's quantity", id)
		h.out.find(f.values(o.state.Placed.Lines[i].Quantity, p.quantity))
	}
	ended := o.state.Status == orders.Rejected || o.state.Status == orders.Cancelled || o.state.Status == orders.Closed
	if p.open > 0 && ended && h.atRest(o) && (!p.recorded || !h.excused(o)) {
		f.Problem = fmt.Sprintf("reservation %s is open, its order is %s", id, o.state.Status)
		h.out.find(f.values(0, p.open))
	}
}

// kept: every unit that an order still counts on is promised to it, or has left the house for it.
func (h *history) kept(o *order) {
	for i, l := range o.state.Placed.Lines {
		if i >= len(o.state.Lines) || o.state.Status == orders.Rejected {
			continue
		}
		want := l.Quantity - o.state.Lines[i].Cancelled
		have := 0
		var p *promise
		if s := h.shelves[l.SKU]; s != nil {
			p = s.promises[l.ReservationID]
		}
		if p != nil {
			have = p.open + p.committed
		}
		if have != want && (!unsent(p, want) || !h.excused(o)) {
			h.out.find(Finding{
				Invariant: "I5", Stream: es.StreamID{Category: "order", Key: o.key}.String(),
				Problem: fmt.Sprintf("line %d of an order that is %s: units of %s promised or sent", l.Line, o.state.Status, l.SKU),
			}.values(want, have))
		}
	}
}
