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
	return query.ByKey[Level](ctx, q.View, ask, "stock_levels", sku)
}
