package order

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/iso"
)

// Request is what somebody wants to buy, and where it goes.
type Request struct {
	Currency       string
	Country        string
	Region         *string // as it was given: the shop's tax may depend on it
	ShippingMethod string
	ShippingPrice  *int64 // agreed; nil: the method's
	Lines          []Wanted
	Discounts      []events.Discount // off the goods
}

// Wanted is one line of a request. An agreed price or name is kept beside the catalogue's.
type Wanted struct {
	SKU         string
	Quantity    int
	AgreedPrice *int64
	AgreedName  string
	Ref         string
}

// Offer is a product as the catalogue has it now.
type Offer struct {
	Name         string
	Prices       map[string]int64 // by currency
	TaxClass     string
	Revision     uint64
	Discontinued bool
}

// Quote is a request reckoned up.
type Quote struct {
	Currency         string
	Country          string
	TaxRegion        string             // ISO 3166-2 without the country; empty where tax does not depend on it
	Lines            []events.OrderLine // without reservation ids
	Goods, Discount  int64
	Discounts        []events.Discount
	Shipping         events.Shipping
	TaxIncluded      int64
	TaxAdded         int64
	Total            int64
	PricesIncludeTax bool
}

// Why a request cannot be quoted.
const (
	UnknownSKU         es.Code = "unknown_sku"
	Discontinued       es.Code = "discontinued"
	NoPrice            es.Code = "no_price" // in the order's currency
	UnknownCurrency    es.Code = "unknown_currency"
	UnknownRegion      es.Code = "unknown_region" // and the tax depends on it
	UnknownShipping    es.Code = "unknown_shipping_method"
	NotShippedThere    es.Code = "not_shipped_there"
	UnknownTaxClass    es.Code = "unknown_tax_class"
	BadQuantity        es.Code = "quantity"
	BadAmount          es.Code = "amount"
	NoLines            es.Code = "no_lines"
	DiscountAboveGoods es.Code = "discount_above_goods"
)

// Problem is one reason why a request cannot be quoted.
type Problem struct {
	Code   es.Code
	Line   int    // from 1; 0: not about a line
	Field  string // of the request or the line: "sku", "currency", "shipping_method", "quantity", …
	Detail string
}

// Problems is the error of a request that cannot be quoted: all of them at once.
type Problems []Problem //nolint:errname // they are problems

func (p Problems) Error() string {
	all := make([]string, len(p))
	for i, one := range p {
		all[i] = one.Detail
	}
	return strings.Join(all, "; ")
}

// Quote reckons a request up at the catalogue's prices: a pure function. The error is Problems.
// Discounts are spread over the lines by their amounts; tax is per line, after discount; shipping is taxed at the
// destination's standard class.
func (s Shop) Quote(r Request, offer func(sku string) (Offer, bool)) (Quote, error) {
	q := quoting{shop: s, request: r, quote: Quote{
		Currency: r.Currency, Country: r.Country, Discounts: r.Discounts, PricesIncludeTax: s.PricesIncludeTax,
	}}
	if !slices.Contains(s.Currencies, r.Currency) {
		q.problemf(UnknownCurrency, 0, "currency", "nothing is sold in %q", r.Currency)
	}
	if len(r.Lines) == 0 || len(r.Lines) > MaxLines {
		q.problemf(NoLines, 0, "lines", "an order has 1 to %d lines", MaxLines)
		return Quote{}, q.problems
	}
	q.region()
	for i, w := range r.Lines {
		q.line(i+1, w, offer)
	}
	q.discount()
	for i := range q.quote.Lines {
		q.tax(&q.quote.Lines[i])
	}
	q.shipping()
	q.sum()
	if q.problems != nil {
		return Quote{}, q.problems
	}
	return q.quote, nil
}

// Snapshot is the order as quoted, to be completed with who buys and how they pay.
func (q Quote) Snapshot(orderID string) events.OrderPlaced {
	lines := slices.Clone(q.Lines)
	for i := range lines {
		lines[i].ReservationID = FirstReservation(orderID, lines[i].Line)
	}
	return events.OrderPlaced{
		OrderID: orderID, ShipTo: events.Address{Country: q.Country, TaxRegion: q.TaxRegion}, Currency: q.Currency, Lines: lines, Goods: q.Goods, Discount: q.Discount, Discounts: q.Discounts,
		Shipping: q.Shipping, TaxIncluded: q.TaxIncluded, TaxAdded: q.TaxAdded, Total: q.Total,
	}
}

type quoting struct {
	shop     Shop
	request  Request
	quote    Quote
	problems Problems
}

func (q *quoting) problemf(code es.Code, line int, field, format string, args ...any) {
	q.problems = append(q.problems, Problem{code, line, field, fmt.Sprintf(format, args...)})
}

// region finds where in the country the order goes, if tax depends on that. It has to be said then: another region's tax would be
// wrong, and so would none.
func (q *quoting) region() {
	country := q.request.Country
	if !q.shop.taxesByRegion(country) {
		return
	}
	if q.request.Region == nil {
		q.problemf(UnknownRegion, 0, "ship_to/region", "tax in %s depends on the region: its ISO 3166-2 code is needed", country)
		return
	}
	code, ok := iso.Region(country, *q.request.Region)
	if !ok {
		q.problemf(UnknownRegion, 0, "ship_to/region", "tax in %s depends on the region, and this is no ISO 3166-2 code of one", country)
		return
	}
	q.quote.TaxRegion = code
}

func (q *quoting) line(number int, w Wanted, offer func(string) (Offer, bool)) {
	o, known := offer(w.SKU)
	price, priced := o.Prices[q.request.Currency]
	switch {
	case !known:
		q.problemf(UnknownSKU, number, "sku", "there is no product %q", w.SKU)
	case o.Discontinued && w.AgreedPrice == nil:
		q.problemf(Discontinued, number, "sku", "product %s is no longer sold", w.SKU)
	case !priced && w.AgreedPrice == nil:
		q.problemf(NoPrice, number, "sku", "product %s has no price in %s", w.SKU, q.request.Currency)
	}
	if w.Quantity < 1 || w.Quantity > MaxQuantity {
		q.problemf(BadQuantity, number, "quantity", "a line has 1 to %d units", MaxQuantity)
	}
	l := events.OrderLine{
		Line: number, SKU: w.SKU, Name: o.Name, Quantity: w.Quantity, ListPrice: price, UnitPrice: price,
		TaxClass: o.TaxClass, ProductRevision: o.Revision, Ref: w.Ref,
	}
	if w.AgreedPrice != nil {
		l.UnitPrice, l.Agreed = *w.AgreedPrice, true
		if !priced {
			l.ListPrice = l.UnitPrice
		}
	}
	if w.AgreedName != "" {
		l.Name = w.AgreedName
	}
	goods, err := events.MulAmount(l.UnitPrice, int64(l.Quantity))
	if err != nil || l.UnitPrice < 0 {
		q.problemf(BadAmount, number, "agreed_price", "line %d comes to more than can be reckoned, or less than 0", number)
	}
	l.Total = goods // discount and tax follow
	var taxed bool
	if l.TaxRate, taxed = q.shop.taxRate(q.request.Country, q.quote.TaxRegion, o.TaxClass); known && !taxed {
		q.problemf(UnknownTaxClass, number, "sku", "%s has no tax class %q", q.request.Country, o.TaxClass)
	}
	q.quote.Lines = append(q.quote.Lines, l)
}

// discount spreads the discounts over the lines by largest remainder.
func (q *quoting) discount() {
	weights := make([]int64, len(q.quote.Lines))
	for i, l := range q.quote.Lines {
		weights[i] = l.Total
	}
	for i, d := range q.request.Discounts {
		sum, err := events.AddAmounts(q.quote.Discount, d.Amount)
		if err != nil || d.Amount <= 0 {
			q.problemf(BadAmount, 0, "discounts", "discount %d is not above 0", i+1)
			return
		}
		q.quote.Discount = sum
	}
	if q.problems != nil {
		return
	}
	parts, err := events.Spread(q.quote.Discount, weights)
	switch {
	case err != nil && q.quote.Discount == 0:
		q.problemf(BadAmount, 0, "lines", "the order comes to more than can be reckoned")
		return
	case err != nil:
		q.problemf(DiscountAboveGoods, 0, "discounts", "the discounts are more than the goods")
		return
	}
	for i := range q.quote.Lines {
		l := &q.quote.Lines[i]
		l.Discount, l.Total = parts[i], l.Total-parts[i]
	}
}

func (q *quoting) tax(l *events.OrderLine) {
	if q.problems != nil {
		return
	}
	if q.shop.PricesIncludeTax {
		l.Tax = events.IncludedTax(l.Total, l.TaxRate)
		return
	}
	tax, err := events.AddedTax(l.Total, l.TaxRate)
	if err == nil {
		l.Tax = tax
		l.Total, err = events.AddAmounts(l.Total, tax)
	}
	if err != nil {
		q.problemf(BadAmount, l.Line, "quantity", "line %d comes to more than can be reckoned", l.Line)
	}
}

func (q *quoting) shipping() {
	r := q.request
	price, known, shipped := q.shop.shippingPrice(r.ShippingMethod, r.Country, r.Currency)
	switch {
	case r.ShippingPrice != nil && (*r.ShippingPrice < 0 || *r.ShippingPrice > events.MaxAmount):
		q.problemf(BadAmount, 0, "shipping_price", "shipping of %d", *r.ShippingPrice)
		return
	case r.ShippingPrice != nil:
		price = *r.ShippingPrice
	case !known:
		q.problemf(UnknownShipping, 0, "shipping_method", "there is no shipping method %q", r.ShippingMethod)
		return
	case !shipped:
		q.problemf(NotShippedThere, 0, "shipping_method", "%s does not ship to %s in %s", r.ShippingMethod, r.Country, r.Currency)
		return
	}
	rate, _ := q.shop.taxRate(r.Country, q.quote.TaxRegion, StandardTax)
	sh := events.Shipping{Method: r.ShippingMethod, Price: price, TaxRate: rate}
	if q.shop.PricesIncludeTax {
		sh.Tax = events.IncludedTax(price, rate)
	} else {
		tax, err := events.AddedTax(price, rate)
		if err != nil {
			q.problemf(BadAmount, 0, "shipping_price", "shipping of %d", price)
			return
		}
		sh.Tax, sh.TaxAdded = tax, tax
	}
	q.quote.Shipping = sh
}

func (q *quoting) sum() {
	var s sums
	sh := q.quote.Shipping
	tax := sh.Tax
	for _, l := range q.quote.Lines {
		s.add(&s.goods, l.Total)
		s.add(&s.goods, l.Discount)
		if !q.shop.PricesIncludeTax {
			s.add(&s.goods, -l.Tax)
		}
		s.add(&tax, l.Tax)
		s.add(&s.total, l.Total)
	}
	s.add(&s.total, sh.Price, sh.TaxAdded)
	if s.err != nil && q.problems == nil {
		q.problemf(BadAmount, 0, "lines", "the order comes to more than can be reckoned")
	}
	q.quote.Goods, q.quote.Total = s.goods, s.total
	if q.shop.PricesIncludeTax {
		q.quote.TaxIncluded = tax
	} else {
		q.quote.TaxAdded = tax
	}
}
