package orderdetails_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/viewtest"
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
	if d := get(query.Ask{Moment: query.Moment{AsOf: new(start.Add(-time.Second))}}, "o1"); d != nil {
		t.Errorf("before it was placed: %+v", d)
	}
	if d := get(query.Ask{}, "o2"); d.Rejection == nil || !cmp.Equal(d.Rejection.Lines, short) {
		t.Errorf("rejected: %+v", d)
	}
	var standing []orderdetails.Standing
	whole, err := q.Standing(t.Context(), []string{"o1", "o2", "o3", "o4"}, func(s orderdetails.Standing) bool {
		standing = append(standing, s)
		return s.Key == "o1"
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(standing, func(a, b orderdetails.Standing) int { return strings.Compare(a.Key, b.Key) })
	if diff := cmp.Diff([]orderdetails.Standing{
		{Key: "o1", Status: "confirmed", PaymentStatus: "authorised", Revision: 1}, {Key: "o2", Status: "rejected", PaymentStatus: "none", Revision: 1},
	}, standing); diff != "" {
		t.Errorf("how far they have come (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]orderdetails.Detail{*get(query.Ask{}, "o1")}, whole); diff != "" {
		t.Errorf("the one that was wanted (-want +got)\n%s", diff)
	}
	for _, id := range []string{"o3", "o4"} {
		if d := get(query.Ask{}, id); d != nil {
			t.Errorf("%s: %+v", id, d)
		}
	}
}

func TestWaits(t *testing.T) {
	for s, want := range map[orderdetails.Standing]bool{
		{Status: "placed", PaymentStatus: "none"}: true, {Status: "placed", PaymentStatus: "pending"}: true, {Status: "placed", PaymentStatus: "action_required"}: false,
		{Status: "cancelling", PaymentStatus: "action_required"}: true, {Status: "confirmed", PaymentStatus: "authorised"}: false,
		{Status: "rejected"}: false, {Status: "cancelled"}: false, {Status: "closed"}: false,
	} {
		if s.Waits() != want {
			t.Errorf("%+v waits: %v", s, !want)
		}
	}
}
