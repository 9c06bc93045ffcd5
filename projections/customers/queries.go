package customers

import (
	"context"

	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Customer is one customer.
type Customer struct {
	Row
	projection.Stamp

	ID string `db:"key"`
}

// Queries asks for customers.
type Queries struct{ View query.View }

// Get gives one customer, now or at the moment asked for; nil if there was none.
func (q Queries) Get(ctx context.Context, ask query.Ask, id string) (*Customer, query.Answer, error) {
	return query.ByKey[Customer](ctx, q.View, ask, "customers", id)
}
