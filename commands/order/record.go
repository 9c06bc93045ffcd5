package order

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

// Record takes over an order that another system has already carried out: placed, confirmed, shipped, delivered and closed
// in one append. No saga starts on it. At is when it was shipped and delivered, as far as known.
type Record struct {
	Order events.OrderPlaced
	At    time.Time
}

func (Record) CommandType() string { return "order.record" }
func (c Record) Key() string       { return c.Order.OrderID }

// Decide takes the same order again for nothing new: an import is repeated by the orders' ids.
func (c Record) Decide(o Order) ([]es.Event, error) {
	placed := c.Order
	placed.Recorded = true
	switch {
	case o.Status != None && sameContent(o.Placed, placed):
		return es.Nothing()
	case o.Status != None:
		return es.Reject(Differs, "order %s is recorded with other content: %s", placed.OrderID, difference(clearContent(o.Placed), clearContent(placed)))
	}
	if err := check(placed); err != nil {
		return es.Reject(Invalid, "%v", err)
	}
	all := make([]events.LineQuantity, len(placed.Lines))
	for i, l := range placed.Lines {
		all[i] = events.LineQuantity{Line: l.Line, Quantity: l.Quantity}
	}
	return es.Facts(
		placed,
		events.OrderConfirmed{OrderID: placed.OrderID, Recorded: true},
		events.OrderLinesShipped{OrderID: placed.OrderID, Lines: all, At: es.Micro(c.At), Recorded: true},
		events.OrderLinesDelivered{OrderID: placed.OrderID, Lines: all, At: es.Micro(c.At), Recorded: true},
		events.OrderClosed{OrderID: placed.OrderID},
	)
}

// sameContent compares what was sold, without personal fields: sealed anew, the same name is another ciphertext. Nor does it matter
// on which line of which file it was and what the product cost elsewhere: both change when other orders are corrected.
func sameContent(a, b events.OrderPlaced) bool {
	return bytes.Equal(clearContent(a), clearContent(b))
}

func clearContent(o events.OrderPlaced) []byte {
	o.Customer.Name, o.Customer.Email, o.Customer.Phone = es.Sealed{}, es.Sealed{}, es.Sealed{}
	o.ShipTo = events.Address{Country: o.ShipTo.Country, TaxRegion: o.ShipTo.TaxRegion}
	o.Payment.Token = es.Sealed{}
	o.Discounts = slices.Clone(o.Discounts)
	for i := range o.Discounts {
		o.Discounts[i].Reason = es.Sealed{}
	}
	o.Lines = slices.Clone(o.Lines)
	for i := range o.Lines {
		o.Lines[i].Ref, o.Lines[i].ListPrice, o.Lines[i].Agreed = "", 0, true
	}
	return encoded(struct {
		events.OrderPlaced
		Lines []events.OrderLine `json:"lines"` // one by one, however many
	}{o, o.Lines})
}

func encoded(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // numbers, strings and times
		panic(err)
	}
	return b
}

// RecordReturned takes over a return that another system has already paid back, once per return id. Line, quantity and
// refund are given; the SKU is the line's own.
type RecordReturned struct {
	OrderID, ReturnID string
	Lines             []events.ReturnedLine
}

func (RecordReturned) CommandType() string { return "order.record_returned" }
func (c RecordReturned) Key() string       { return c.OrderID }

func (c RecordReturned) Decide(o Order) ([]es.Event, error) {
	switch {
	case o.Status == None:
		return es.Reject(NotFound, "no order %s", c.OrderID)
	case c.ReturnID == "" || len(c.Lines) == 0:
		return es.Reject(Invalid, "a return of %s needs an id and lines", c.OrderID)
	}
	lines := slices.Clone(c.Lines)
	back := map[int]int{}
	for i, r := range lines {
		l := o.line(r.Line)
		if l == nil || r.Quantity <= 0 || r.Refund < 0 || r.Refund > events.MaxAmount {
			return es.Reject(Invalid, "return %s of %s: line %d, %d units, refund %d", c.ReturnID, c.OrderID, r.Line, r.Quantity, r.Refund)
		}
		lines[i].SKU = o.Placed.Lines[r.Line-1].SKU
		back[r.Line] += r.Quantity
	}
	if before, known := o.Returns[c.ReturnID]; known {
		if slices.Equal(before, lines) {
			return es.Nothing()
		}
		return es.Reject(ReturnDiffers, "return %s of %s is recorded with other content: %s", c.ReturnID, c.OrderID, difference(encoded(before), encoded(lines)))
	}
	for number, n := range back {
		if l := o.line(number); n > l.Delivered-l.Returned {
			return es.Reject(ReturnExceeds, "line %d of %s has %d units to return, not %d", number, c.OrderID, l.Delivered-l.Returned, n)
		}
	}
	return es.Facts(events.OrderLinesReturned{OrderID: c.OrderID, ReturnID: c.ReturnID, Lines: lines, Recorded: true})
}
