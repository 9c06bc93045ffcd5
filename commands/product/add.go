package product

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/text"
)

// Add puts a product into the catalogue, once.
type Add struct {
	SKU, Name string
	Prices    map[string]int64
	TaxClass  *string // nil: standard
}

func (Add) CommandType() string { return "product.add" }
func (c Add) Key() string       { return c.SKU }

func (c Add) Decide(p Product) ([]es.Event, error) {
	switch {
	case p.Status != None:
		return es.Reject(Exists, "product %s exists", c.SKU)
	case !text.SKU(c.SKU):
		return es.Reject(Invalid, "%q is no SKU", c.SKU)
	case !validName(c.Name) || !validPrices(c.Prices):
		return es.Reject(Invalid, "product %s needs a name, and prices of 0 or more in currencies of ISO 4217", c.SKU)
	}
	class := StandardTax
	if c.TaxClass != nil {
		class = *c.TaxClass
	}
	if !text.Ref(class) {
		return es.Reject(Invalid, "%q is no tax class", class)
	}
	return es.Facts(events.ProductAdded{SKU: c.SKU, Name: c.Name, Prices: c.Prices, TaxClass: class})
}
