package orderlist

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Item is one order of a list.
type Item struct {
	Row
	projection.Stamp

	Key string `db:"key"` // the order's id
}

// Filter says which orders; empty fields do not ask.
type Filter struct{ Status, CustomerID, Country string }

// Cursor is the place after the last item of a page.
type Cursor struct {
	PlacedAt time.Time
	Key      string
}

// Page is some orders, the latest first. Next is nil on the last page.
type Page struct {
	Items []Item
	Next  *Cursor
}

// Queries lists orders.
type Queries struct{ View query.View }

// List gives at most limit orders after a cursor, nil from the first, now or at the moment asked for.
func (q Queries) List(ctx context.Context, ask query.Ask, f Filter, after *Cursor, limit int) (Page, query.Answer, error) {
	where, args := []string{"true"}, []any{}
	also := func(condition string, values ...any) {
		numbers := make([]any, len(values))
		for i, v := range values {
			args = append(args, v)
			numbers[i] = len(args)
		}
		where = append(where, fmt.Sprintf(condition, numbers...))
	}
	if f.Status != "" {
		also("status = $%d", f.Status)
	}
	if f.CustomerID != "" {
		also("customer_id = $%d", f.CustomerID)
	}
	if f.Country != "" {
		also("country = $%d", f.Country)
	}
	if after != nil {
		also("(placed_at, key) < ($%d, $%d)", after.PlacedAt, after.Key)
	}
	if ask.AsOf != nil { // no order was valid before it was placed: spares the index what came later
		also("placed_at <= $%d", *ask.AsOf)
	}
	items, more, answer, err := query.Page[Item](ctx, q.View, ask, limit, `select `+query.Columns[Item]()+` from {order_list} where `+
		strings.Join(where, " and ")+fmt.Sprintf(` order by placed_at desc, key desc limit $%d`, len(args)+1), args...)
	page := Page{Items: items}
	if more {
		last := items[limit-1]
		page.Next = &Cursor{last.PlacedAt, last.Key}
	}
	return page, answer, err
}
