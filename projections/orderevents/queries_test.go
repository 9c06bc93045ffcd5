package orderevents_test

import (
	"slices"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/viewtest"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/orderevents"
)

func TestAfter(t *testing.T) {
	var l viewtest.Log
	day := func(n int) time.Time { return time.Date(2011, 1, n, 0, 0, 0, 0, time.UTC) }
	l.Add(t, "order-o1", day(1), events.OrderPlaced{})
	l.Add(t, "order-o2", day(1), events.OrderPlaced{})
	l.Add(t, "payment-o1", day(2), events.PaymentInitiated{}, events.PaymentAuthorisationRequested{})
	l.Add(t, "stock-o1", day(2), events.StockReceived{})
	last := l.Add(t, "order-o1", day(3), events.OrderConfirmed{})
	for range 8 { // positions of one and two digits
		last = l.Add(t, "payment-o1", day(4), events.PaymentOutcomeUnknown{})
	}
	q := orderevents.Queries{View: l.View(t, events.Catalog(), orderevents.Projection)}

	all := []int64{1, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14}
	for limit := 1; limit <= 13; limit++ {
		var got []int64
		for after, more := uint64(0), true; more; {
			var items []orderevents.Item
			var err error
			if items, more, _, err = q.After(t.Context(), query.Ask{MinPosition: last}, "o1", after, limit); err != nil {
				t.Fatal(err)
			}
			for _, i := range items {
				got, after = append(got, i.Position), uint64(i.Position)
			}
		}
		if !slices.Equal(got, all) {
			t.Errorf("in pages of %d: %v", limit, got)
		}
	}
	items, _, _, err := q.After(t.Context(), query.Ask{Moment: query.Moment{AsOf: new(day(3))}}, "o1", 3, 10)
	if err != nil || len(items) != 2 || items[0].Type != "payment.authorisation_requested" || items[1].StreamRevision != 1 ||
		items[1].Stream != "order-o1" || items[1].ActorID != "anonymous" || !items[1].RecordedAt.Equal(viewtest.Recorded(6)) || items[1].Reason != nil {
		t.Errorf("as of the 3rd: %+v, %v", items, err)
	}
}
