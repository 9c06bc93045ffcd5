package orderdetails_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/viewtest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/orderdetails"
)

// What is kept in columns comes back as it was folded, at any moment.
func TestGet(t *testing.T) {
	var l viewtest.Log
	noon, later := start.Add(12*time.Hour), start.Add(24*time.Hour)
	short := []events.ShortLine{{Line: 1, SKU: "MUG", Requested: 2, Available: 1}}
	l.Add(t, "order-o1", start, placed)
	l.Add(t, "payment-o1", noon, requested, action, held)
	last := l.Add(t, "order-o1", later, events.OrderConfirmed{})
	l.Add(t, "order-o2", start, placed, events.OrderRejected{Code: "out_of_stock", Short: short})
	l.Add(t, "payment-o3", start, events.PaymentInitiated{}) // of an order that was not placed
	q := orderdetails.Queries{View: l.View(t, events.Catalog(), orderdetails.Projection)}

	get := func(ask query.Ask, id string) *orderdetails.Detail {
		t.Helper()
		d, _, err := q.Get(t.Context(), ask, id)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	paid := orderdetails.Payment{
		Status: "authorised", Authorised: 3893, Attempt: 1, ExpiresAt: expiry,
		Attempts: []orderdetails.Attempt{{N: 1, State: "authorised", Held: 3893, ExpiresAt: expiry}},
	}
	want := &orderdetails.Detail{
		Key: "o1", Row: row(func(r *orderdetails.Row) { r.Status, r.Payment = "confirmed", paid }),
		Stamp: projection.Stamp{Version: 4, Revision: 1, Position: 5, ValidFrom: later, RecordedFrom: viewtest.Recorded(5)},
	}
	if diff := cmp.Diff(want, get(query.Ask{MinPosition: last}, "o1")); diff != "" {
		t.Errorf("now (-want +got)\n%s", diff)
	}
	want.Row = row(func(r *orderdetails.Row) { r.Payment = paid })
	want.Stamp = projection.Stamp{Version: 3, Revision: 0, Position: 4, ValidFrom: noon, RecordedFrom: viewtest.Recorded(4)}
	if diff := cmp.Diff(want, get(query.Ask{Moment: query.Moment{AsOf: new(noon)}}, "o1")); diff != "" {
		t.Errorf("at noon (-want +got)\n%s", diff)
	}
	first := uint64(0)
	want.Row = row(func(*orderdetails.Row) {})
	want.Stamp = projection.Stamp{Version: 0, Revision: 0, Position: 1, ValidFrom: start, RecordedFrom: viewtest.Recorded(1)}
	if diff := cmp.Diff(want, get(query.Ask{Moment: query.Moment{Revision: &first}}, "o1")); diff != "" {
		t.Errorf("as placed (-want +got)\n%s", diff)
	}
	was, is, answer, err := q.Both(t.Context(), query.Ask{}, "o1", query.Moment{Revision: &first}, query.Moment{AsOf: new(noon)})
	if err != nil || was == nil || is == nil || was.Version != 0 || is.Version != 3 || answer.Position < last {
		t.Errorf("as placed and at noon, in one snapshot: %+v, %+v, %+v, %v", was, is, answer, err)
	}
	was, is, _, err = q.Both(t.Context(), query.Ask{}, "o1", query.Moment{KnownAt: new(viewtest.Recorded(2))}, query.Moment{})
	if err != nil || was == nil || is == nil || was.Version != 1 || is.Version != 4 {
		t.Errorf("as known at the second event, and now: %+v, %+v, %v", was, is, err)
	}
	was, is, _, err = q.Both(t.Context(), query.Ask{}, "o1", query.Moment{AsOf: new(start.Add(-time.Second))}, query.Moment{})
	if err != nil || was != nil || is == nil {
		t.Errorf("before it was placed, and now: %+v, %+v, %v", was, is, err)
	}
	if d := get(query.Ask{Moment: query.Moment{AsOf: new(start.Add(-time.Second))}}, "o1"); d != nil {
		t.Errorf("before it was placed: %+v", d)
	}
	if d := get(query.Ask{}, "o2"); d.Rejection == nil || !cmp.Equal(d.Rejection.Lines, short) {
		t.Errorf("rejected: %+v", d)
	}
	ended, err := q.Ended(t.Context(), []string{"o1", "o2", "o3", "o4"}, []int64{1, 2, 0, 0}) // o2 has not come so far
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]orderdetails.Detail{*get(query.Ask{}, "o1")}, ended); diff != "" {
		t.Errorf("ended (-want +got)\n%s", diff)
	}
	for _, id := range []string{"o3", "o4"} {
		if d := get(query.Ask{}, id); d != nil {
			t.Errorf("%s: %+v", id, d)
		}
	}
}

// A request waits for what sagas do by themselves, not for a buyer who has to act.
func TestEnded(t *testing.T) {
	var l viewtest.Log
	asked := []string{"placed", "requested", "acting", "confirmed", "cancelling", "cancelled", "rejected"}
	for id, further := range map[string][]es.Event{
		"placed": nil, "confirmed": {events.OrderConfirmed{}}, "rejected": {events.OrderRejected{Code: "out_of_stock"}},
		"cancelling": {events.OrderConfirmed{}, events.OrderCancelRequested{}}, "cancelled": {events.OrderCancelRequested{}, events.OrderCancelled{}},
		"requested": nil, "acting": nil,
	} {
		l.Add(t, "order-"+id, start, append([]es.Event{placed}, further...)...)
	}
	l.Add(t, "payment-requested", start, requested)
	l.Add(t, "payment-acting", start, requested, action)
	q := orderdetails.Queries{View: l.View(t, events.Catalog(), orderdetails.Projection)}
	details, err := q.Ended(t.Context(), asked, make([]int64, len(asked)))
	if err != nil {
		t.Fatal(err)
	}
	var ended []string
	for _, d := range details {
		ended = append(ended, d.Key)
	}
	slices.Sort(ended)
	if want := []string{"acting", "cancelled", "confirmed", "rejected"}; !slices.Equal(ended, want) {
		t.Errorf("ended: %v, want %v", ended, want)
	}
}
