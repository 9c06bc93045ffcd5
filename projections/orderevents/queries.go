package orderevents

import (
	"context"

	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Item is one event of an order. Position is the event's: what to resume after.
type Item struct {
	Row

	Position int64 `db:"position"`
}

// Queries asks for events.
type Queries struct{ View query.View }

// After gives at most limit events of an order after a position, 0 from the first, in the order of their recording;
// more says that there are others.
func (q Queries) After(ctx context.Context, ask query.Ask, orderID string, position uint64, limit int) (items []Item, more bool, answer query.Answer, err error) {
	ask.Key = orderID
	return query.Page[Item](ctx, q.View, ask, limit,
		`select `+query.Columns[Item]()+` from {order_events} where key = $1 and suffix > $2 order by suffix limit $3`, orderID, suffix(position))
}

// Newest is the position of an order's last event.
type Newest struct {
	Key      string `db:"key"`
	Position int64  `db:"position"`
}

// News gives those of the orders that have events after a position, each after its own.
func (q Queries) News(ctx context.Context, orders []string, after []uint64) ([]Newest, query.Answer, error) {
	suffixes := make([]string, len(after))
	for i, position := range after {
		suffixes[i] = suffix(position)
	}
	return query.All[Newest](ctx, q.View, query.Ask{},
		`select w.key, max(e.position) as position from unnest($1::text[], $2::text[]) w(key, suffix)
		join {order_events} e on e.key = w.key and e.suffix > w.suffix group by w.key`, orders, suffixes)
}
