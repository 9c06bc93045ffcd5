package onlineretail

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/text"
)

// History is what a file says, ready to be recorded. Amounts are pence.
type History struct {
	Digest    string // sha256 of the file, hex
	Lines     int    // all but the header
	Orders    []Order
	Products  []Product
	Customers []Customer
	Receipts  []Receipt
	Returns   []Return
	Rejects   []Reject // by line
	Shipping  int      // lines that became an order's shipping
}

// Order is an invoice. Its id and its number are the invoice's.
type Order struct {
	Invoice  string
	Customer string // "": a guest
	Country  string
	At       time.Time
	Lines    []OrderLine
	Shipping int64

	postage []line // that came to it
}

// OrderLine is a goods line of the file.
type OrderLine struct {
	Line     int // in the order, from 1
	Source   int // in the file
	SKU      string
	Name     string
	Quantity int
	Price    int64

	credited int
	text     string
}

// Product is what order lines name.
type Product struct {
	SKU, Name string
	Price     int64
	At        time.Time
}

// Customer is registered with its first order, without personal data: the file has none.
type Customer struct {
	ID, Country string
	At          time.Time
}

// Receipt is as many units of a SKU as it ever sold.
type Receipt struct {
	SKU, ID  string
	Quantity int
	At       time.Time
}

// Read takes a whole file. ErrHeader: it is not of this kind; ErrEncoding: it is not UTF-8.
func Read(r io.Reader) (*History, error) {
	sum := sha256.New()
	lines, rejects, err := readLines(io.TeeReader(r, sum))
	if err != nil {
		return nil, err
	}
	h := &History{Digest: hex.EncodeToString(sum.Sum(nil)), Lines: len(lines) + len(rejects), Rejects: rejects}
	sold, credits := h.sort(lines)
	h.order(sold, earliest(lines))
	h.credit(credits)
	h.derive()
	slices.SortFunc(h.Rejects, func(a, b Reject) int { return cmp.Compare(a.Line, b.Line) })
	return h, nil
}

func (h *History) rejectf(l line, why Reason, format string, args ...any) {
	h.Rejects = append(h.Rejects, Reject{l.n, why, fmt.Sprintf(format, args...), l.text})
}

// sort tells sales from credits and leaves out what is neither.
func (h *History) sort(lines []line) (sold, credits []line) {
	for _, l := range lines {
		l.description = text.Clean(l.description)
		switch {
		case !goods(l.sku) && (!shipping(l.sku) || l.credit):
			h.rejectf(l, NotGoods, "%s is not goods", l.sku)
		case !text.SKU(l.sku):
			h.rejectf(l, Malformed, "column StockCode: %.40q is no SKU", l.sku)
		case l.quantity <= 0 && !l.credit || l.quantity >= 0 && l.credit:
			h.rejectf(l, BadQuantity, "quantity %d", l.quantity)
		case tooLarge(l) != nil:
			h.rejectf(l, TooLarge, "%v", tooLarge(l))
		case l.price <= 0:
			h.rejectf(l, NoPrice, "price %d", l.price)
		case l.credit && l.customer == "":
			h.rejectf(l, CreditWithoutCustomer, "a credit names its customer")
		case l.credit:
			credits = append(credits, l)
		case text.Check(l.description, order.MaxName) != nil:
			h.rejectf(l, Malformed, "column Description: %v", text.Check(l.description, order.MaxName))
		default:
			sold = append(sold, l)
		}
	}
	return sold, credits
}

func tooLarge(l line) error {
	if l.quantity > order.MaxQuantity || l.quantity < -order.MaxQuantity {
		return fmt.Errorf("%d units, of at most %d", l.quantity, order.MaxQuantity)
	}
	_, err := events.MulAmount(max(l.price, -l.price), int64(max(l.quantity, -l.quantity)))
	return err
}

func goods(sku string) bool {
	switch sku {
	case "M", "D", "S", "B", "CRUK", "AMAZONFEE", "BANK CHARGES", "POST", "DOT", "C2":
		return false
	}
	return !strings.HasPrefix(sku, "GIFT_")
}

func shipping(sku string) bool { return sku == "POST" || sku == "DOT" || sku == "C2" }

// earliest is the first time on any well-formed line of each invoice, which is the invoice's.
func earliest(lines []line) map[string]time.Time {
	first := map[string]time.Time{}
	for _, l := range lines {
		if at, ok := first[l.invoice]; !ok || l.at.Before(at) {
			first[l.invoice] = l.at
		}
	}
	return first
}

// invoice is the lines sold under one number.
type invoice struct {
	number         string
	goods, postage []line
}

// order gathers the invoices, in order of time, then number.
func (h *History) order(sold []line, times map[string]time.Time) {
	byNumber := map[string]*invoice{}
	for _, l := range sold {
		i := byNumber[l.invoice]
		if i == nil {
			i = &invoice{number: l.invoice}
			byNumber[l.invoice] = i
		}
		if shipping(l.sku) {
			i.postage = append(i.postage, l)
		} else {
			i.goods = append(i.goods, l)
		}
	}
	var orders []Order
	for _, i := range byNumber {
		o, err := i.order(times[i.number])
		switch {
		case len(i.goods) == 0:
			h.rejectAll(i.postage, ShippingWithoutGoods, "invoice "+i.number+" has no goods in this file")
		case err != nil:
			h.rejectAll(slices.Concat(i.goods, i.postage), TooLarge, err.Error())
		default:
			orders = append(orders, o)
		}
	}
	slices.SortFunc(orders, func(a, b Order) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Invoice, b.Invoice)) })
	sum := int64(0)
	for _, o := range orders { // every sum that is ever made of them is at most this one
		all, err := events.AddAmounts(sum, o.Total())
		if err != nil {
			h.rejectAll(o.source(), TooLarge, fmt.Sprintf("invoice %s: with the orders before it, %v", o.Invoice, err))
			continue
		}
		sum = all
		h.Orders = append(h.Orders, o)
		h.Shipping += len(o.postage)
	}
}

func (h *History) rejectAll(lines []line, why Reason, detail string) {
	for _, l := range lines {
		h.rejectf(l, why, "%s", detail)
	}
}

// order is an invoice with goods as an order; its error says in what it is too large.
func (i *invoice) order(at time.Time) (Order, error) {
	if len(i.goods) == 0 {
		return Order{}, nil
	}
	if len(i.goods) > order.MaxRecordedLines {
		return Order{}, fmt.Errorf("invoice %s has %d lines, of at most %d", i.number, len(i.goods), order.MaxRecordedLines)
	}
	o := Order{Invoice: i.number, Customer: i.goods[0].customer, Country: i.goods[0].country, At: at}
	amounts := make([]int64, 0, len(i.goods)+len(i.postage))
	for n, l := range i.goods {
		o.Lines = append(o.Lines, OrderLine{Line: n + 1, Source: l.n, SKU: l.sku, Name: l.description, Quantity: l.quantity, Price: l.price, text: l.text})
		amounts = append(amounts, l.price*int64(l.quantity))
	}
	for _, l := range i.postage {
		amounts = append(amounts, l.price*int64(l.quantity))
		o.Shipping += l.price * int64(l.quantity)
		o.postage = append(o.postage, l)
	}
	if _, err := events.AddAmounts(amounts...); err != nil {
		return Order{}, fmt.Errorf("invoice %s: %w", i.number, err)
	}
	if bytes := o.recordedBytes(); bytes > events.MaxRecordedBytes {
		return Order{}, fmt.Errorf("invoice %s needs %d bytes to be recorded, of at most %d", i.number, bytes, events.MaxRecordedBytes)
	}
	return o, nil
}

// recordedBytes is what the order's largest event may come to.
func (o Order) recordedBytes() int {
	text := 0
	for _, l := range o.Lines {
		text += len(l.SKU) + len(l.Name)
	}
	if text+len(o.Lines)*300 < es.MaxEventBytes { // the common case, without encoding it
		return text
	}
	b, err := json.Marshal(o.snapshot(nil))
	if err != nil { // numbers and strings
		panic(err)
	}
	return len(b) + len(o.Lines)*len("9007199254740991") + 4096 // the list prices, and metadata
}

// Goods is the sum of the order's lines.
func (o Order) Goods() (sum int64) {
	for _, l := range o.Lines {
		sum += l.Price * int64(l.Quantity)
	}
	return sum
}

// Total is goods and shipping; there is no tax.
func (o Order) Total() int64 { return o.Goods() + o.Shipping }

// derive finds the products, customers and receipts that the orders need. Orders are in order of time.
func (h *History) derive() {
	type seen struct {
		names  map[string]int
		prices map[int64]int
		units  int
		at     time.Time
	}
	products, customers := map[string]*seen{}, map[string]bool{}
	for _, o := range h.Orders {
		if o.Customer != "" && !customers[o.Customer] {
			customers[o.Customer] = true
			h.Customers = append(h.Customers, Customer{o.Customer, o.Country, o.At})
		}
		for _, l := range o.Lines {
			p := products[l.SKU]
			if p == nil {
				p = &seen{map[string]int{}, map[int64]int{}, 0, o.At}
				products[l.SKU] = p
			}
			p.names[l.Name]++
			p.prices[l.Price]++
			p.units += l.Quantity
		}
	}
	for _, sku := range slices.Sorted(maps.Keys(products)) {
		p := products[sku]
		h.Products = append(h.Products, Product{sku, mostFrequent(p.names), mostFrequent(p.prices), p.at})
		h.Receipts = append(h.Receipts, Receipt{sku, "online-retail-" + h.Digest[:12], p.units, p.at})
	}
}

// mostFrequent breaks ties by order: the first name in byte order, the smallest price.
func mostFrequent[K cmp.Ordered](counts map[K]int) K {
	var best K
	n := 0
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		if counts[k] > n {
			best, n = k, counts[k]
		}
	}
	return best
}
