// Package product decides on the catalogue, one product per stream.
package product

import (
	"maps"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/iso"
	"github.com/daybook-dev/daybook/kit/text"
)

const (
	Invalid  es.Code = "product_invalid"
	NotFound es.Code = "product_not_found"
	Exists   es.Code = "product_exists"
)

// StandardTax is the tax class of a product that names none.
const StandardTax = "standard"

type Status string

const (
	None         Status = ""
	Active       Status = "active"
	Discontinued Status = "discontinued"
)

// Product is one product as it is now. Prices are minor units per currency.
type Product struct {
	SKU, Name string
	Prices    map[string]int64
	TaxClass  string
	Status    Status
}

func (*Product) Category() string { return "product" }

func (p *Product) Evolve(e es.Event) {
	switch e := e.(type) {
	case events.ProductAdded:
		*p = Product{SKU: e.SKU, Name: e.Name, Prices: maps.Clone(e.Prices), TaxClass: e.TaxClass, Status: Active}
	case events.ProductRenamed:
		p.Name = e.Name
	case events.ProductPriceChanged:
		// Others may hold the present map: a folded product goes into quotes.
		p.Prices = maps.Clone(p.Prices)
		if p.Prices == nil {
			p.Prices = map[string]int64{}
		}
		maps.Copy(p.Prices, e.Prices)
	case events.ProductDiscontinued:
		p.Status = Discontinued
	case events.ProductReinstated:
		p.Status = Active
	default:
		es.Unknown(e)
	}
}

func validPrices(prices map[string]int64) bool {
	for currency, price := range prices {
		if _, ok := iso.Currency(currency); !ok || price < 0 || price > events.MaxAmount {
			return false
		}
	}
	return len(prices) > 0
}

// MaxName is how many characters a product's name may have.
const MaxName = 200

func validName(name string) bool { return text.Check(name, MaxName) == nil }
