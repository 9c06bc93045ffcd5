package onlineretail

import (
	"fmt"

	"github.com/daybook-dev/daybook/commands/customer"
	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
)

const (
	currency = "GBP"
	shipped  = "post"
	money    = source
)

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

func (o Order) payment() payment.Record {
	return payment.Record{OrderID: o.Invoice, RecordID: o.Invoice, Amount: events.Money{Amount: o.Total(), Currency: currency}, Method: money}
}

func (o Order) stock() (all []asked[stock.Stock]) {
	for _, l := range o.Lines {
		id := order.FirstReservation(o.Invoice, l.Line)
		all = append(all,
			asked[stock.Stock]{o.At, stock.Reserve{SKU: l.SKU, ReservationID: id, OrderID: o.Invoice, Quantity: l.Quantity, Recorded: true}, o.Invoice},
			asked[stock.Stock]{o.At, stock.Commit{SKU: l.SKU, ReservationID: id, OrderID: o.Invoice, Quantity: l.Quantity, Recorded: true}, o.Invoice})
	}
	return all
}

// source is the lines of the file that the order is made of.
func (o Order) source() (all []line) {
	for _, l := range o.Lines {
		all = append(all, line{n: l.Source, text: l.text})
	}
	return append(all, o.postage...)
}

func (r Return) record() order.RecordReturned {
	lines := make([]events.ReturnedLine, len(r.Lines))
	for i, l := range r.Lines {
		lines[i] = events.ReturnedLine{Line: l.Line, Quantity: l.Quantity, Refund: l.Price * int64(l.Quantity)}
	}
	return order.RecordReturned{OrderID: r.Order, ReturnID: r.CreditInvoice, Lines: lines}
}

func (r Return) payment() payment.RecordRefund {
	return payment.RecordRefund{OrderID: r.Order, RecordID: r.CreditInvoice, Amount: events.Money{Amount: r.Refund(), Currency: currency}, Method: money}
}

func (r Return) stock() (all []asked[stock.Stock]) {
	for i, l := range r.Lines {
		id := fmt.Sprintf("%s/%s/%d", r.CreditInvoice, r.Order, i+1)
		all = append(all, asked[stock.Stock]{r.At, stock.Restock{SKU: l.SKU, RestockID: id, OrderID: r.Order, Quantity: l.Quantity, Recorded: true}, r.Order})
	}
	return all
}

func (r Return) source() (all []line) {
	for _, l := range r.Lines {
		all = append(all, line{n: l.Source, text: l.text})
	}
	return all
}

// snapshot is the order as it was sold: the price belongs to the sale, the list price is kept beside it.
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
			ReservationID: order.FirstReservation(o.Invoice, l.Line), Ref: fmt.Sprintf("line:%d", l.Source),
		})
	}
	return e
}
