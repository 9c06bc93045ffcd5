package orderlist_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/viewtest"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/orderlist"
)

func TestList(t *testing.T) {
	var l viewtest.Log
	day := func(n int) time.Time { return time.Date(2011, 1, n, 0, 0, 0, 0, time.UTC) }
	var last uint64
	for n, o := range []struct{ customer, country string }{{"C-1", "GB"}, {"", "GB"}, {"C-2", "FR"}, {"C-1", "FR"}} {
		id := fmt.Sprintf("o%d", n+1)
		l.Add(t, "order-"+id, day(min(n+1, 3)), events.OrderPlaced{ // two of them at the same moment
			OrderID: id, Number: id, Customer: events.Buyer{ID: o.customer}, ShipTo: events.Address{Country: o.country}, Currency: "GBP", Total: int64(n),
		})
		last = l.Add(t, "order-"+id, day(10+n), events.OrderConfirmed{})
	}
	q := orderlist.Queries{View: l.View(t, events.Catalog(), orderlist.Projection)}

	for _, c := range []struct {
		name   string
		ask    query.Ask
		filter orderlist.Filter
		want   []string
	}{
		{"all", query.Ask{MinPosition: last}, orderlist.Filter{}, []string{"o4", "o3", "o2", "o1"}},
		{"confirmed", query.Ask{}, orderlist.Filter{Status: "confirmed"}, []string{"o4", "o3", "o2", "o1"}},
		{"placed", query.Ask{}, orderlist.Filter{Status: "placed"}, nil},
		{"a customer's", query.Ask{}, orderlist.Filter{CustomerID: "C-1"}, []string{"o4", "o1"}},
		{"to a country", query.Ask{}, orderlist.Filter{Country: "FR"}, []string{"o4", "o3"}},
		{"all at once", query.Ask{}, orderlist.Filter{Status: "confirmed", CustomerID: "C-1", Country: "FR"}, []string{"o4"}},
		{"placed as of the 11th", query.Ask{Moment: query.Moment{AsOf: new(day(11))}}, orderlist.Filter{Status: "placed"}, []string{"o4", "o3"}},
		{"confirmed as of the 11th", query.Ask{Moment: query.Moment{AsOf: new(day(11))}}, orderlist.Filter{Status: "confirmed"}, []string{"o2", "o1"}},
		{"as of the 2nd", query.Ask{Moment: query.Moment{AsOf: new(day(2))}}, orderlist.Filter{}, []string{"o2", "o1"}},
		{"as known at the third event", query.Ask{Moment: query.Moment{KnownAt: new(viewtest.Recorded(3))}}, orderlist.Filter{}, []string{"o2", "o1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for limit := 1; limit <= 5; limit++ { // in pages of every size
				var got []string
				var after *orderlist.Cursor
				for {
					page, _, err := q.List(t.Context(), c.ask, c.filter, after, limit)
					if err != nil {
						t.Fatal(err)
					}
					for _, i := range page.Items {
						got = append(got, i.Key)
					}
					if after = page.Next; after == nil {
						break
					}
					if len(page.Items) != limit || len(got) > 4 {
						t.Fatalf("a page of %d: %v", limit, got)
					}
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("in pages of %d: %v, want %v", limit, got, c.want)
				}
			}
		})
	}
}
