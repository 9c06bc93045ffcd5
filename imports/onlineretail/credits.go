package onlineretail

import (
	"cmp"
	"slices"
	"time"
)

// Return is what one C invoice gives back of one order.
type Return struct {
	CreditInvoice string // with the C
	Order         string
	At            time.Time
	Lines         []ReturnLine
}

// ReturnLine is some units of one order line, at the price they were sold for.
type ReturnLine struct {
	Line     int // of the order
	SKU      string
	Quantity int
	Price    int64
	Source   int // in the file
	text     string
}

// Refund is what is given back.
func (r Return) Refund() (sum int64) {
	for _, l := range r.Lines {
		sum += l.Price * int64(l.Quantity)
	}
	return sum
}

type soldAs struct {
	customer, sku string
	price         int64
}

type soldLine struct {
	order *Order
	line  *OrderLine
}

// credit finds for each credit line the sale it gives back: the latest order not later than the credit that has enough
// uncredited units of it on one line. Orders are in order of time, then invoice.
func (h *History) credit(credits []line) {
	sales := map[soldAs][]soldLine{}
	for i := range h.Orders {
		o := &h.Orders[i]
		for j := range o.Lines {
			k := soldAs{o.Customer, o.Lines[j].SKU, o.Lines[j].Price}
			sales[k] = append(sales[k], soldLine{o, &o.Lines[j]})
		}
	}
	slices.SortStableFunc(credits, func(a, b line) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.invoice, b.invoice), cmp.Compare(a.n, b.n))
	})
	type pair struct{ credit, order string }
	at := map[pair]int{}
	for _, c := range credits {
		s, ok := findSale(sales[soldAs{c.customer, c.sku, c.price}], c)
		if !ok {
			h.rejectf(c, CreditWithoutSale, "no earlier order of customer %s has %d uncredited units of %s at %d", c.customer, -c.quantity, c.sku, c.price)
			continue
		}
		s.line.credited += -c.quantity
		k := pair{"C" + c.invoice, s.order.Invoice}
		i, known := at[k]
		if !known {
			i = len(h.Returns)
			at[k] = i
			h.Returns = append(h.Returns, Return{CreditInvoice: k.credit, Order: k.order, At: c.at})
		}
		r := &h.Returns[i]
		r.Lines = append(r.Lines, ReturnLine{s.line.Line, c.sku, -c.quantity, c.price, c.n, c.text})
	}
}

// findSale: the latest order wins; of two at one moment the higher invoice, and within it the lower line.
func findSale(sales []soldLine, c line) (soldLine, bool) {
	for i := len(sales) - 1; i >= 0; i-- {
		s := sales[i]
		if s.order.At.After(c.at) || s.line.Quantity-s.line.credited < -c.quantity {
			continue
		}
		for i > 0 && sales[i-1].order == s.order { // lines of one order are in order
			i--
			if l := sales[i].line; l.Quantity-l.credited >= -c.quantity {
				s = sales[i]
			}
		}
		return s, true
	}
	return soldLine{}, false
}
