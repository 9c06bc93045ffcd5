package products_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/viewtest"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/products"
)

func TestQueries(t *testing.T) {
	var l viewtest.Log
	day := func(n int) time.Time { return time.Date(2011, 1, n, 0, 0, 0, 0, time.UTC) }
	for _, sku := range []string{"A", "B"} {
		l.Add(t, "product-"+sku, day(1), events.ProductAdded{Name: "Mug " + sku, Prices: prices{"GBP": 1299}, TaxClass: "standard"})
	}
	last := l.Add(t, "product-A", day(2), events.ProductPriceChanged{Prices: prices{"GBP": 1399}})
	q := products.Queries{View: l.View(t, events.Catalog(), products.Projection)}

	got, _, err := q.Get(t.Context(), query.Ask{MinPosition: last}, "A")
	want := &products.Product{
		SKU: "A", Row: products.Row{Name: "Mug A", Prices: prices{"GBP": 1399}, TaxClass: "standard", Status: "active"},
		Stamp: projection.Stamp{Version: 1, Revision: 1, Position: 3, ValidFrom: day(2), RecordedFrom: viewtest.Recorded(3)},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if got, _, err := q.Get(t.Context(), query.Ask{Moment: query.Moment{AsOf: new(day(1))}}, "A"); err != nil || got.Prices["GBP"] != 1299 {
		t.Errorf("%v, %+v", err, got)
	}
	if got, _, err := q.Get(t.Context(), query.Ask{}, "C"); err != nil || got != nil {
		t.Errorf("%v, %+v", err, got)
	}
	page, more, _, err := q.List(t.Context(), query.Ask{}, "", 1)
	if err != nil || !more || len(page) != 1 || page[0].SKU != "A" {
		t.Errorf("%v, %+v", err, page)
	}
	page, more, _, err = q.List(t.Context(), query.Ask{}, "A", 1)
	if err != nil || more || len(page) != 1 || page[0].SKU != "B" {
		t.Errorf("%v, %+v", err, page)
	}
}
