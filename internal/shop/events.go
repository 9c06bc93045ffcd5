package shop

import (
	"context"
	"strconv"

	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/orderevents"
)

// TimelineItem is an event of an order with its opened reason.
type TimelineItem struct {
	orderevents.Item

	Said     Text // the reason
	Withheld Withheld
}

// Timeline lists the events of an order, oldest first.
func (q *Queries) Timeline(ctx context.Context, ask query.Ask, id string, page Page) (List[TimelineItem], error) {
	return list(ask, page, "timeline/"+id, 1, func(after []string, limit int) ([]TimelineItem, []string, query.Answer, error) {
		var from uint64
		var none query.Answer
		if after != nil {
			var err error
			if from, err = strconv.ParseUint(after[0], 10, 63); err != nil {
				return nil, nil, none, badCursor()
			}
		}
		rows, more, answer, err := q.events.After(ctx, ask, id, from, limit)
		if err != nil {
			return nil, nil, none, err
		}
		if len(rows) == 0 && from == 0 {
			return nil, nil, none, notFound(ask, "order_not_found", "order", id)
		}
		items := make([]TimelineItem, len(rows))
		for i, row := range rows {
			items[i].Item = row
			if row.Reason == nil {
				continue
			}
			open := q.opening(ctx)
			items[i].Said, items[i].Withheld = open.text(*row.Reason), open.why
			if open.err != nil {
				return nil, nil, none, open.err
			}
		}
		if !more {
			return items, nil, answer, nil
		}
		return items, []string{strconv.FormatInt(rows[len(rows)-1].Position, 10)}, answer, nil
	})
}

// Watch is an open stream of the events of one order.
type Watch struct {
	queries *Queries
	place   *stream
	from    uint64
}

const watchPage = 100

// Watch opens a stream of the events of an order after a position. Streams are limited in all and per client. The caller closes it.
func (q *Queries) Watch(order, client string, from uint64) (*Watch, error) {
	place, err := q.streams.open(order, client, from)
	if err != nil {
		return nil, err
	}
	return &Watch{q, place, from}, nil
}

// Exists returns an error if the order does not exist. The watch is registered already, so no event is lost between Exists and Next.
func (w *Watch) Exists(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, QueryWithin)
	defer cancel()
	rows, _, _, err := w.queries.events.After(ctx, query.Ask{}, w.place.order, w.from, watchPage)
	if err == nil && len(rows) == 0 {
		if rows, _, _, err = w.queries.events.After(ctx, query.Ask{}, w.place.order, 0, 1); err == nil && len(rows) == 0 {
			err = notFound(query.Ask{}, "order_not_found", "order", w.place.order)
		}
	}
	return err
}

// Woken receives a value when there may be new events.
func (w *Watch) Woken() <-chan struct{} { return w.place.wake }

// Closing is closed when Queries.Run ends.
func (w *Watch) Closing() <-chan struct{} { return w.queries.closing }

// Next reads the events after the last one sent. more: there are further ones.
func (w *Watch) Next(ctx context.Context) (items []orderevents.Item, more bool, err error) {
	return w.queries.streams.after(ctx, w.place.order, w.from)
}

// Sent records that the client has received everything up to a position.
func (w *Watch) Sent(position uint64) {
	w.from = position
	w.queries.streams.sent(w.place, position)
}

// Close ends the stream and releases its place.
func (w *Watch) Close() { w.queries.streams.close(w.place) }
