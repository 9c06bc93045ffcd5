package products

import (
	"context"

	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Product is one product.
type Product struct {
	Row
	projection.Stamp

	SKU string `db:"key"`
}

// Queries asks for products.
type Queries struct{ View query.View }

// Get gives one product, now or at the moment asked for; nil if there was none.
func (q Queries) Get(ctx context.Context, ask query.Ask, sku string) (*Product, query.Answer, error) {
	return query.ByKey[Product](ctx, q.View, ask, "products", sku)
}

// List gives at most limit products after a SKU, in the order of SKUs; more says that there are others.
func (q Queries) List(ctx context.Context, ask query.Ask, after string, limit int) (products []Product, more bool, answer query.Answer, err error) {
	return query.Page[Product](ctx, q.View, ask, limit,
		`select `+query.Columns[Product]()+` from {products} where key > $1 order by key limit $2`, after)
}
