// Package products answers: what is sold, and at which price?
package products

import (
	_ "embed"
	"maps"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
)

// Row is one product. Prices are minor units by currency.
type Row struct {
	Name     string           `db:"name"`
	Prices   map[string]int64 `db:"prices"`
	TaxClass string           `db:"tax_class"`
	Status   string           `db:"status"`
}

//go:embed schema.sql
var schema string

// Projection keeps a row per SKU. Bump Version to rebuild.
var Projection = projection.Table[Row]{
	Name: "products", Version: 1, Stream: "product", History: true, Schema: schema,
	On: []projection.Fold[Row]{
		projection.On(func(r *Row, e events.ProductAdded, _ es.Recorded) {
			*r = Row{e.Name, maps.Clone(e.Prices), e.TaxClass, "active"}
		}),
		projection.On(func(r *Row, e events.ProductRenamed, _ es.Recorded) { r.Name = e.Name }),
		projection.On(func(r *Row, e events.ProductPriceChanged, _ es.Recorded) {
			prices := maps.Clone(r.Prices) // the row before may still be on its way to the history
			if prices == nil {
				prices = map[string]int64{}
			}
			maps.Copy(prices, e.Prices)
			r.Prices = prices
		}),
		projection.On(func(r *Row, _ events.ProductDiscontinued, _ es.Recorded) { r.Status = "discontinued" }),
		projection.On(func(r *Row, _ events.ProductReinstated, _ es.Recorded) { r.Status = "active" }),
	},
}
