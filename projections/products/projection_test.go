package products_test

import (
	"testing"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/projection/projectiontest"
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

// A version that has been given away must not change when the row goes on.
func TestVersionsDoNotShareTheirPrices(t *testing.T) {
	plan, err := products.Projection.Plan()
	if err != nil {
		t.Fatal(err)
	}
	batch := plan.Begin(0)
	var first products.Row
	for i, e := range projectiontest.Past("product-A", events.ProductAdded{Prices: prices{"GBP": 1299}}, events.ProductPriceChanged{Prices: prices{"GBP": 1}}) {
		keys, err := batch.Touch(e)
		if err == nil {
			err = batch.Apply(keys[0], e)
		}
		if err != nil {
			t.Fatal(err)
		}
		if row := batch.Row(keys[0]).(*products.Row); i == 0 {
			first = *row
		}
	}
	if first.Prices["GBP"] != 1299 {
		t.Errorf("the first version's prices are now %v", first.Prices)
	}
}
