package events

// ProductAdded puts a product into the catalogue. Prices are minor units per currency.
type ProductAdded struct {
	SKU      string           `json:"sku"`
	Name     string           `json:"name"`
	Prices   map[string]int64 `json:"prices"`
	TaxClass string           `json:"tax_class"`
}

type ProductRenamed struct {
	SKU  string `json:"sku"`
	Name string `json:"name"`
}

// ProductPriceChanged holds the currencies that changed, no others.
type ProductPriceChanged struct {
	SKU    string           `json:"sku"`
	Prices map[string]int64 `json:"prices"`
}

// ProductDiscontinued takes a product out of sale; orders that were placed keep it.
type ProductDiscontinued struct {
	SKU string `json:"sku"`
}

type ProductReinstated struct {
	SKU string `json:"sku"`
}

func (ProductAdded) EventType() string        { return "product.added" }
func (ProductRenamed) EventType() string      { return "product.renamed" }
func (ProductPriceChanged) EventType() string { return "product.price_changed" }
func (ProductDiscontinued) EventType() string { return "product.discontinued" }
func (ProductReinstated) EventType() string   { return "product.reinstated" }
