package orderdetails

import (
	"context"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/projection"
)

// Standing is how far an order has come: what a request that waits for its end needs to know.
type Standing struct {
	Key           string `db:"key"`
	Status        string `db:"status"`
	PaymentStatus string `db:"payment_status"`
	Revision      int64  `db:"revision"`
}

// Waits tells whether a saga still has something to do about the order by itself. An order whose buyer has to act does not.
func (s Standing) Waits() bool {
	return s.Status == "cancelling" || s.Status == "placed" && s.PaymentStatus != string(events.AttemptActionRequired)
}

// Standing gives those of the orders that there are, as they are now.
func (q Queries) Standing(ctx context.Context, ids []string) ([]Standing, projection.Answer, error) {
	return projection.All[Standing](ctx, q.View, projection.Ask{},
		`select key, status, payment->>'status' as payment_status, revision from {order_details} where key = any($1) and status <> ''`, ids)
}
