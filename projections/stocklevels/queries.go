package stocklevels

import (
	"context"

	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Level is one SKU's stock.
type Level struct {
	Row
	projection.Stamp

	SKU string `db:"key"`
}

// Queries asks for stock.
type Queries struct{ View query.View }

// Get gives one SKU's stock, now or at the moment asked for; nil if nothing was ever heard of it.
func (q Queries) Get(ctx context.Context, ask query.Ask, sku string) (*Level, query.Answer, error) {
	ask.Key = sku
	return query.One[Level](ctx, q.View, ask, `select `+query.Columns[Level]()+` from {stock_levels} where key = $1`, sku)
}

// List gives at most limit SKUs after one, in the order of SKUs; more says that there are others.
func (q Queries) List(ctx context.Context, ask query.Ask, after string, limit int) (levels []Level, more bool, answer query.Answer, err error) {
	return query.Page[Level](ctx, q.View, ask, limit,
		`select `+query.Columns[Level]()+` from {stock_levels} where key > $1 order by key limit $2`, after)
}
