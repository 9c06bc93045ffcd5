package demo

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/daybook-dev/daybook/imports/onlineretail"
)

// Tokens that orders are paid with, in every 50 orders: 90 % approved, 4 % declined, 2 % each slow, unanswered, and late.
const (
	Approve = "tok_approve"
	Decline = "tok_decline"
	Slow    = "tok_slow_500"
	Silent  = "tok_silent_approved"
	Late    = "tok_late_3"
)

// tokenOf spreads the tokens evenly.
func tokenOf(i int) string {
	switch i % 50 {
	case 7, 32:
		return Decline
	case 13:
		return Slow
	case 23:
		return Silent
	case 41:
		return Late
	}
	return Approve
}

// Order is one order about to be placed.
type Order struct {
	ID    string
	Token string
	Lines []Line
}

// Line is so many units of a SKU.
type Line struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// Article is a SKU that the orders need: how it is added if the catalogue lacks it, how many units all orders want and how
// many are received.
type Article struct {
	SKU, Name      string
	Price          int64
	Needed, Supply int
}

// Plan is what a run does.
type Plan struct {
	Run      string
	Orders   []Order
	Articles []Article // by SKU
}

const (
	currency = "GBP"
	shortage = 2 // per cent of the units needed are not there
)

// NewPlan takes the first n invoices of a history; all of them if there are fewer. What is missing is taken off the SKUs in
// their order, so that the sum is exact and also SKUs of few units fall short now and then.
func NewPlan(h *onlineretail.History, n int, run string) Plan {
	p := Plan{Run: run}
	need := map[string]int{}
	for i, o := range h.Orders[:min(n, len(h.Orders))] {
		one := Order{ID: "demo-" + run + "-" + o.Invoice, Token: tokenOf(i)}
		for _, l := range o.Lines {
			one.Lines = append(one.Lines, Line{l.SKU, l.Quantity})
			need[l.SKU] += l.Quantity
		}
		p.Orders = append(p.Orders, one)
	}
	known := map[string]onlineretail.Product{}
	for _, product := range h.Products {
		known[product.SKU] = product
	}
	before := 0
	for _, sku := range slices.Sorted(maps.Keys(need)) {
		missing := (before+need[sku])*shortage/100 - before*shortage/100
		before += need[sku]
		name := known[sku].Name
		if name == "" {
			name = sku
		}
		p.Articles = append(p.Articles, Article{sku, name, known[sku].Price, need[sku], need[sku] - missing})
	}
	return p
}

// body is the order as the API takes it. The file's buyers have no addresses: they are guests, all at one.
func (o Order) body() ([]byte, error) {
	b, err := json.Marshal(map[string]any{
		"id": o.ID, "currency": currency, "customer": map[string]any{"email": o.ID + "@demo.example"},
		"ship_to":         map[string]any{"line1": "1 High Street", "city": "London", "postal_code": "N1 1AA", "country": "GB"},
		"shipping_method": "standard", "lines": o.Lines, "payment": map[string]any{"token": o.Token},
	})
	if err != nil {
		return nil, fmt.Errorf("encode order %s: %w", o.ID, err)
	}
	return b, nil
}
