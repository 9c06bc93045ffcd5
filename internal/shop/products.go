package shop

import (
	"context"
	"maps"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/products"
)

// AddProduct adds a product to the catalogue.
func (c *Commands) AddProduct(ctx context.Context, r Request, add product.Add) (Done[products.Product], error) {
	if add.TaxClass != nil && !c.Shop.HasTaxClass(*add.TaxClass) {
		return Done[products.Product]{}, Refuse(order.UnknownTaxClass, "the shop has no tax class %q", *add.TaxClass).
			At("/tax_class", string(order.UnknownTaxClass), "is none of the shop's")
	}
	return c.changeProduct(ctx, r, add.SKU, add)
}

// ChangeProduct changes the given fields of a product.
func (c *Commands) ChangeProduct(ctx context.Context, r Request, change product.Change) (Done[products.Product], error) {
	return c.changeProduct(ctx, r, change.SKU, change)
}

func (c *Commands) changeProduct(ctx context.Context, r Request, sku string, d es.Decision[product.Product]) (Done[products.Product], error) {
	return run(ctx, c, r.call(streamOf("product", sku).String()), sku, plain(d), func(p product.Product) products.Product {
		row := products.Row{Name: p.Name, Prices: maps.Clone(p.Prices), TaxClass: p.TaxClass, Status: string(p.Status)} // the kernel reuses the state
		return products.Product{Row: row, SKU: sku}
	})
}

// Product returns one product.
func (q *Queries) Product(ctx context.Context, ask query.Ask, sku string) (Answer[products.Product], error) {
	return one(ctx, ask, sku, q.products.Get, "product_not_found", "product")
}

// Products lists products by SKU.
func (q *Queries) Products(ctx context.Context, ask query.Ask, page Page) (List[products.Product], error) {
	return list(ask, page, "products", 1, func(after []string, limit int) ([]products.Product, []string, query.Answer, error) {
		from := ""
		if after != nil {
			from = after[0]
		}
		rows, more, answer, err := q.products.List(ctx, ask, from, limit)
		if !more {
			return rows, nil, answer, err
		}
		return rows, []string{rows[len(rows)-1].SKU}, answer, err
	})
}
