package product_test

import (
	"testing"

	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/estest"
)

var given = estest.Given[product.Product]

type prices = map[string]int64

var (
	added        = events.ProductAdded{SKU: "A", Name: "Mug", Prices: prices{"GBP": 1299}, TaxClass: "standard"}
	discontinued = events.ProductDiscontinued{SKU: "A"}
	reinstated   = events.ProductReinstated{SKU: "A"}
)

func TestAdd(t *testing.T) {
	c := product.Add{SKU: "A", Name: "Mug", Prices: prices{"GBP": 1299}}
	given(t).When(c).Then(added)
	given(t, added).When(c).ThenRejected(product.Exists)
	given(t).When(product.Add{SKU: "A", Name: "Mug", Prices: prices{"GBP": -1}}).ThenRejected(product.Invalid)
	given(t).When(product.Add{SKU: "A", Name: "Mug", Prices: prices{"POUND": 1}}).ThenRejected(product.Invalid)
	given(t).When(product.Add{SKU: "A", Name: "Mug"}).ThenRejected(product.Invalid)
	given(t).When(product.Add{SKU: "A", Prices: prices{"GBP": 0}}).ThenRejected(product.Invalid)
	for _, bad := range []product.Add{
		{SKU: " A", Name: "Mug", Prices: prices{"GBP": 1}}, {SKU: "A\u200b", Name: "Mug", Prices: prices{"GBP": 1}}, {SKU: "..", Name: "Mug", Prices: prices{"GBP": 1}},
		{SKU: "A", Name: " ", Prices: prices{"GBP": 1}}, {SKU: "A", Name: "Mug ", Prices: prices{"GBP": 1}}, {SKU: "A", Name: "M\u202eug", Prices: prices{"GBP": 1}},
		{SKU: "A", Name: "Mug", Prices: prices{"XXX": 1}}, {SKU: "A", Name: "Mug", Prices: prices{"gbp": 1}}, {SKU: "A", Name: "Mug", Prices: prices{"GBP": 1}, TaxClass: new("")},
	} {
		given(t).When(bad).ThenRejected(product.Invalid)
	}
	given(t, added).When(product.Change{SKU: "A", Name: new("")}).ThenRejected(product.Invalid)
	given(t, added).When(product.Change{SKU: "A", Prices: prices{}}).ThenRejected(product.Invalid)
	given(t, added).When(product.Change{SKU: "A", Status: new(product.None)}).ThenRejected(product.Invalid)
	given(t).When(product.Add{SKU: "A", Name: "Gift", Prices: prices{"GBP": 0}, TaxClass: new("zero")}).
		Then(events.ProductAdded{SKU: "A", Name: "Gift", Prices: prices{"GBP": 0}, TaxClass: "zero"})
}

func TestChange(t *testing.T) {
	dearer := events.ProductPriceChanged{SKU: "A", Prices: prices{"GBP": 1399}}
	renamed := events.ProductRenamed{SKU: "A", Name: "Big mug"}

	given(t, added).When(product.Rename{SKU: "A", Name: "Big mug"}).Then(renamed)
	given(t, added, renamed).When(product.Rename{SKU: "A", Name: "Big mug"}).ThenNothing()
	given(t, added).When(product.Rename{SKU: "A"}).ThenRejected(product.Invalid)

	given(t, added).When(product.ChangePrice{SKU: "A", Prices: prices{"GBP": 1399}}).Then(dearer)
	given(t, added, dearer).When(product.ChangePrice{SKU: "A", Prices: prices{"GBP": 1399}}).ThenNothing()
	given(t, added).When(product.ChangePrice{SKU: "A", Prices: prices{"GBP": 1299, "EUR": 1500}}).
		Then(events.ProductPriceChanged{SKU: "A", Prices: prices{"EUR": 1500}})
	given(t, added).When(product.ChangePrice{SKU: "A", Prices: prices{"GBP": -1}}).ThenRejected(product.Invalid)

	given(t, added).When(product.Discontinue{SKU: "A"}).Then(discontinued)
	given(t, added, discontinued).When(product.Discontinue{SKU: "A"}).ThenNothing()
	given(t, added, discontinued).When(product.Reinstate{SKU: "A"}).Then(reinstated)
	given(t, added, discontinued, reinstated).When(product.Reinstate{SKU: "A"}).ThenNothing()

	everything := product.Change{SKU: "A", Name: new("Big mug"), Prices: prices{"GBP": 1399}, Status: new(product.Discontinued)}
	given(t, added).When(everything).Then(renamed, dearer, discontinued)
	given(t, added, renamed, dearer, discontinued).When(everything).ThenNothing()
	given(t, added).When(product.Change{SKU: "A"}).ThenNothing()
	given(t, added).When(product.Change{SKU: "A", Name: new("Big mug"), Prices: prices{"GBP": -1}}).ThenRejected(product.Invalid)
	given(t, added).When(product.Change{SKU: "A", Status: new(product.Status("gone"))}).ThenRejected(product.Invalid)

	for _, c := range []es.Decision[product.Product]{
		product.Rename{SKU: "A", Name: "x"}, product.ChangePrice{SKU: "A", Prices: prices{"GBP": 1}}, product.Discontinue{SKU: "A"},
		product.Reinstate{SKU: "A"}, product.Change{SKU: "A"}, everything,
	} {
		given(t).When(c).ThenRejected(product.NotFound)
	}
}

// A folded product is held by quotes and caches: a later event must not change the prices they hold.
func TestPricesAreNotShared(t *testing.T) {
	var p product.Product
	p.Evolve(added)
	held := p
	p.Evolve(events.ProductPriceChanged{SKU: "A", Prices: prices{"GBP": 1}})
	if held.Prices["GBP"] != 1299 || added.Prices["GBP"] != 1299 || p.Prices["GBP"] != 1 {
		t.Errorf("held %v, added %v, now %v", held.Prices, added.Prices, p.Prices)
	}
}

func TestFoldsEveryEvent(t *testing.T) {
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	estest.FoldsAll[product.Product](t, c)
}
