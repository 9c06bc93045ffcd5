package products_test

import (
	"testing"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/projection/projectiontest"
	"github.com/daybook-dev/daybook/projections/products"
)

type prices = map[string]int64

func TestProducts(t *testing.T) {
	added := events.ProductAdded{SKU: "A", Name: "Mug", Prices: prices{"GBP": 1299}, TaxClass: "standard"}
	rows := projectiontest.Given(t, products.Projection,
		projectiontest.Past("product-A", added, events.ProductRenamed{Name: "Big mug"},
			events.ProductPriceChanged{Prices: prices{"EUR": 1500}}, events.ProductDiscontinued{}),
		projectiontest.Past("product-B", added, events.ProductDiscontinued{}, events.ProductReinstated{}))
	rows.ThenRow("A", products.Row{Name: "Big mug", Prices: prices{"GBP": 1299, "EUR": 1500}, TaxClass: "standard", Status: "discontinued"})
	rows.ThenRow("B", products.Row{Name: "Mug", Prices: prices{"GBP": 1299}, TaxClass: "standard", Status: "active"})
	if len(added.Prices) != 1 {
		t.Errorf("a fold changed the event it was given: %v", added.Prices)
	}
}
