package product

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

// Change is several changes to one product at once: what is nil stays as it is.
type Change struct {
	SKU    string
	Name   *string
	Prices map[string]int64 // by currency; those not named stay
	Status *Status
}

func (Change) CommandType() string { return "product.change" }
func (c Change) Key() string       { return c.SKU }

func (c Change) Decide(p Product) (facts []es.Event, err error) {
	parts := []es.Decision[Product]{}
	if c.Name != nil {
		parts = append(parts, Rename{c.SKU, *c.Name})
	}
	if c.Prices != nil {
		parts = append(parts, ChangePrice{c.SKU, c.Prices})
	}
	switch {
	case c.Status == nil:
	case *c.Status == Active:
		parts = append(parts, Reinstate{c.SKU})
	case *c.Status == Discontinued:
		parts = append(parts, Discontinue{c.SKU})
	default:
		return es.Reject(Invalid, "a product is active or discontinued, not %q", *c.Status)
	}
	if p.Status == None {
		return es.Reject(NotFound, "no product %s", c.SKU)
	}
	for _, part := range parts { // none of them looks at what another changes
		more, err := part.Decide(p)
		if err != nil {
			return nil, err
		}
		facts = append(facts, more...)
	}
	return facts, nil
}

// Rename gives a product another name.
type Rename struct{ SKU, Name string }

func (Rename) CommandType() string { return "product.rename" }
func (c Rename) Key() string       { return c.SKU }

func (c Rename) Decide(p Product) ([]es.Event, error) {
	switch {
	case p.Status == None:
		return es.Reject(NotFound, "no product %s", c.SKU)
	case !validName(c.Name):
		return es.Reject(Invalid, "product %s needs a name", c.SKU)
	case c.Name == p.Name:
		return es.Nothing()
	}
	return es.Facts(events.ProductRenamed{SKU: c.SKU, Name: c.Name})
}

// ChangePrice sets prices by currency; currencies not named keep theirs.
type ChangePrice struct {
	SKU    string
	Prices map[string]int64
}

func (ChangePrice) CommandType() string { return "product.change_price" }
func (c ChangePrice) Key() string       { return c.SKU }

func (c ChangePrice) Decide(p Product) ([]es.Event, error) {
	switch {
	case p.Status == None:
		return es.Reject(NotFound, "no product %s", c.SKU)
	case !validPrices(c.Prices):
		return es.Reject(Invalid, "product %s needs prices of 0 or more", c.SKU)
	}
	changed := map[string]int64{}
	for currency, price := range c.Prices {
		if before, ok := p.Prices[currency]; !ok || before != price {
			changed[currency] = price
		}
	}
	if len(changed) == 0 {
		return es.Nothing()
	}
	return es.Facts(events.ProductPriceChanged{SKU: c.SKU, Prices: changed})
}

// Discontinue takes a product out of sale.
type Discontinue struct{ SKU string }

func (Discontinue) CommandType() string { return "product.discontinue" }
func (c Discontinue) Key() string       { return c.SKU }

func (c Discontinue) Decide(p Product) ([]es.Event, error) {
	switch p.Status {
	case None:
		return es.Reject(NotFound, "no product %s", c.SKU)
	case Discontinued:
		return es.Nothing()
	case Active:
	}
	return es.Facts(events.ProductDiscontinued{SKU: c.SKU})
}

// Reinstate puts a discontinued product on sale again.
type Reinstate struct{ SKU string }

func (Reinstate) CommandType() string { return "product.reinstate" }
func (c Reinstate) Key() string       { return c.SKU }

func (c Reinstate) Decide(p Product) ([]es.Event, error) {
	switch p.Status {
	case None:
		return es.Reject(NotFound, "no product %s", c.SKU)
	case Active:
		return es.Nothing()
	case Discontinued:
	}
	return es.Facts(events.ProductReinstated{SKU: c.SKU})
}
