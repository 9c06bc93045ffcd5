package orderdetails

import (
	"context"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// waits is whether a saga still has something to do about an order by itself. An order whose buyer has to act does not wait.
const waits = `(status = 'cancelling' or status = 'placed' and payment->>'status' <> '` + string(events.AttemptActionRequired) + `')`

// Ended gives those of some orders for which no saga has anything to do, and whose rows have come to a revision: what a request that waits
// for an order's end needs to know.
func (q Queries) Ended(ctx context.Context, ids []string, revisions []int64) ([]Detail, error) {
	ended, _, err := query.All[Detail](ctx, q.View, query.Ask{}, `
		select `+query.Columns[Detail]()+` from {order_details} join unnest($1::text[], $2::bigint[]) as asked (id, seen) on key = id
		where suffix = '' and status <> '' and revision >= seen and not `+waits, ids, revisions)
	return ended, err
}
