package onlineretail

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/commands/customer"
	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/es"
)

const (
	currency = "GBP"
	shipped  = "post"
	money    = "online-retail"
)

// asked is a command of the import, on a stream of S.
type asked[S any] struct {
	at       time.Time
	decision es.Decision[S]
	order    string // it belongs to, or ""
}

// call says who records it, when it happened, and under which id. The id is of the step and of what it says, so the same
// step again is a repeat, and one that says something else is decided, and refused by the aggregate.
func (a asked[S]) call(stream string) es.Call {
	content := sha256.Sum256(fmt.Appendf(nil, "%T %+v", a.decision, a.decision))
	return es.Call{
		ID:          es.CommandID("import:online-retail", a.decision.CommandType(), stream, hex.EncodeToString(content[:])),
		Actor:       es.Actor{ID: "online-retail", Kind: "import"},
		OccurredAt:  a.at,
		Correlation: a.correlation(stream),
	}
}

func (a asked[S]) correlation(stream string) string {
	if a.order == "" {
		return stream
	}
	return es.StreamID{Category: "order", Key: a.order}.String()
}

// byStream gathers commands by the key of their stream, each stream's in order of time.
type byStream[S any] map[string][]asked[S]

func (b byStream[S]) add(at time.Time, order string, d es.Decision[S]) {
	b[d.Key()] = append(b[d.Key()], asked[S]{at, d, order})
}

func (b byStream[S]) inTime() byStream[S] {
	for key := range b {
		slices.SortStableFunc(b[key], func(x, y asked[S]) int { return cmp.Or(x.at.Compare(y.at)) })
	}
	return b
}

func (h *History) products() byStream[product.Product] {
	b := byStream[product.Product]{}
	for _, p := range h.Products {
		b.add(p.At, "", product.Add{SKU: p.SKU, Name: p.Name, Prices: map[string]int64{currency: p.Price}})
	}
	return b
}

func (h *History) customers() byStream[customer.Customer] {
	b := byStream[customer.Customer]{}
	for _, c := range h.Customers {
		b.add(c.At, "", customer.Register{CustomerID: c.ID, Country: c.Country, Recorded: true})
	}
	return b
}

func (h *History) orders() byStream[order.Order] {
	list := map[string]int64{}
	for _, p := range h.Products {
		list[p.SKU] = p.Price
	}
	b := byStream[order.Order]{}
	for _, o := range h.Orders {
		b.add(o.At, o.Invoice, order.Record{Order: o.snapshot(list), At: o.At})
	}
	return b
}

func (h *History) returns(recorded func(order string) bool) byStream[order.Order] {
	b := byStream[order.Order]{}
	for _, r := range h.Returns {
		if !recorded(r.Order) {
			continue
		}
		lines := make([]events.ReturnedLine, len(r.Lines))
		for i, l := range r.Lines {
			lines[i] = events.ReturnedLine{Line: l.Line, Quantity: l.Quantity, Refund: l.Price * int64(l.Quantity)}
		}
		b.add(r.At, r.Order, order.RecordReturned{OrderID: r.Order, ReturnID: r.CreditInvoice, Lines: lines})
	}
	return b.inTime()
}

// snapshot is the order as it was sold: the price belongs to the sale, the list price stands beside it.
func (o Order) snapshot(list map[string]int64) events.OrderPlaced {
	e := events.OrderPlaced{
		OrderID: o.Invoice, Number: o.Invoice, Customer: events.Buyer{ID: o.Customer, Guest: o.Customer == ""},
		ShipTo: events.Address{Country: o.Country}, Currency: currency,
		Goods: o.Goods(), Shipping: events.Shipping{Method: shipped, Price: o.Shipping}, Total: o.Total(), Recorded: true,
	}
	for _, l := range o.Lines {
		e.Lines = append(e.Lines, events.OrderLine{
			Line: l.Line, SKU: l.SKU, Name: l.Name, Quantity: l.Quantity,
			ListPrice: list[l.SKU], UnitPrice: l.Price, Agreed: list[l.SKU] != l.Price,
			TaxClass: product.StandardTax, Total: l.Price * int64(l.Quantity),
			ReservationID: order.ReservationID(o.Invoice, l.Line, 1), Ref: fmt.Sprintf("line:%d", l.Source),
		})
	}
	return e
}

func (h *History) payments(recorded func(order string) bool) byStream[payment.Payment] {
	b := byStream[payment.Payment]{}
	for _, o := range h.Orders {
		if recorded(o.Invoice) {
			b.add(o.At, o.Invoice, payment.Record{OrderID: o.Invoice, RecordID: o.Invoice, Amount: events.Money{Amount: o.Total(), Currency: currency}, Method: money})
		}
	}
	for _, r := range h.Returns {
		if recorded(r.Order) {
			b.add(r.At, r.Order, payment.RecordRefund{OrderID: r.Order, RecordID: r.CreditInvoice, Amount: events.Money{Amount: r.Refund(), Currency: currency}, Method: money})
		}
	}
	return b.inTime()
}

func (h *History) stocks(recorded func(order string) bool) byStream[stock.Stock] {
	b := byStream[stock.Stock]{}
	for _, r := range h.Receipts {
		b.add(r.At, "", stock.Receive{SKU: r.SKU, ReceiptID: r.ID, Quantity: r.Quantity})
	}
	for _, o := range h.Orders {
		if !recorded(o.Invoice) {
			continue
		}
		for _, l := range o.Lines {
			id := order.ReservationID(o.Invoice, l.Line, 1)
			b.add(o.At, o.Invoice, stock.Reserve{SKU: l.SKU, ReservationID: id, OrderID: o.Invoice, Quantity: l.Quantity, Recorded: true})
			b.add(o.At, o.Invoice, stock.Commit{SKU: l.SKU, ReservationID: id, OrderID: o.Invoice, Quantity: l.Quantity, Recorded: true})
		}
	}
	for _, r := range h.Returns {
		if !recorded(r.Order) {
			continue
		}
		for i, l := range r.Lines {
			id := fmt.Sprintf("%s/%s/%d", r.CreditInvoice, r.Order, i+1)
			b.add(r.At, r.Order, stock.Restock{SKU: l.SKU, RestockID: id, OrderID: r.Order, Quantity: l.Quantity, Recorded: true})
		}
	}
	return b.inTime()
}
