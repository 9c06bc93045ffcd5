package product

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/es"
)

// Add puts a product into the catalogue, once.
type Add struct {
	SKU, Name string
	Prices    map[string]int64
	TaxClass  string // empty: standard
}

func (Add) CommandType() string { return "product.add" }
func (c Add) Key() string       { return c.SKU }

func (c Add) Decide(p Product) ([]es.Event, error) {
	switch {
	case p.Status != None:
		return es.Reject(Exists, "product %s exists", c.SKU)
	case c.Name == "" || !validPrices(c.Prices):
		return es.Reject(Invalid, "product %s needs a name, and prices of 0 or more", c.SKU)
	}
	class := c.TaxClass
	if class == "" {
		class = StandardTax
	}
	return es.Facts(events.ProductAdded{SKU: c.SKU, Name: c.Name, Prices: c.Prices, TaxClass: class})
}
