package customers

import (
	"context"

	"github.com/daybook-dev/daybook/kit/projection"
)

// Customer is one customer.
type Customer struct {
	Row
	projection.Stamp

	ID string `db:"key"`
}

// Queries asks for customers.
type Queries struct{ View projection.View }

// Get gives one customer, now or at the moment asked for; nil if there was none.
func (q Queries) Get(ctx context.Context, ask projection.Ask, id string) (*Customer, projection.Answer, error) {
	ask.Key = id
	return projection.One[Customer](ctx, q.View, ask, `select `+projection.Columns[Customer]()+` from {customers} where key = $1`, id)
}
