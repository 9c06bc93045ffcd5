package orderdetails

import (
	"context"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/projection/query"
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

// Standing reads how far orders have come, and in the same snapshot gives those that are wanted whole.
func (q Queries) Standing(ctx context.Context, ids []string, wanted func(Standing) bool) (whole []Detail, err error) {
	_, err = q.View.Read(ctx, query.Ask{}, func(ctx context.Context, s query.Snapshot) error {
		whole = nil
		standing, err := query.Rows[Standing](ctx, s,
			`select key, status, payment->>'status' as payment_status, revision from {order_details} where key = any($1) and status <> ''`, ids)
		if err != nil {
			return err
		}
		var keys []string
		for _, s := range standing {
			if wanted(s) {
				keys = append(keys, s.Key)
			}
		}
		if len(keys) == 0 {
			return nil
		}
		whole, err = query.Rows[Detail](ctx, s,
			`select `+query.Columns[Detail]()+` from {order_details} where key = any($1) and suffix = '' and status <> ''`, keys)
		return err
	})
	return whole, err
}
