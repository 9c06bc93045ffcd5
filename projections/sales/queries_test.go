package sales_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/viewtest"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/sales"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func order(country, currency string, units int, goods, shipping int64) events.OrderPlaced {
	return events.OrderPlaced{
		ShipTo: events.Address{Country: country}, Currency: currency, Lines: []events.OrderLine{{Line: 1, Quantity: units}},
		Goods: goods, Shipping: events.Shipping{Price: shipping}, Total: goods + shipping,
	}
}

// What a report shows as parts sums to what it shows as total, with tax on top as well.
func TestPartsSumToTheTotal(t *testing.T) {
	var l viewtest.Log
	for i, o := range []events.OrderPlaced{
		{Goods: 2000, Discount: 101, Shipping: events.Shipping{Price: 395, Tax: 79, TaxAdded: 79}, TaxAdded: 459, Total: 2753},
		{Goods: 500, Shipping: events.Shipping{Price: 0}, TaxAdded: 100, Total: 600},
	} {
		o.Currency, o.ShipTo.Country, o.Lines = "USD", "US", []events.OrderLine{{Line: 1, Quantity: 1}}
		l.Add(t, fmt.Sprint("order-", i), at("2011-06-01T12:00:00Z"), o, events.OrderConfirmed{})
	}
	q := sales.Queries{View: l.View(t, events.Catalog(), sales.Projection), Zone: "UTC"}
	for _, by := range []sales.By{sales.Month, sales.Day, sales.Country} {
		page, _, err := q.Report(t.Context(), query.Ask{}, by, sales.Range{}, nil, 10)
		if err != nil || len(page.Items) != 1 {
			t.Fatal(page, err)
		}
		if s := page.Items[0]; s.Goods-s.Discount+s.Shipping+s.TaxAdded != s.Total || s.Total != 3353 || s.TaxAdded != 559 || s.TaxIncluded != 0 {
			t.Errorf("by %s: %+v", by, s)
		}
	}
}

func TestReport(t *testing.T) {
	var l viewtest.Log
	confirmed := events.OrderConfirmed{}
	// Half past midnight on 1 June in London is still May in UTC.
	l.Add(t, "order-a", at("2011-05-31T23:30:00Z"), order("GB", "GBP", 2, 2000, 395), confirmed)
	l.Add(t, "order-b", at("2011-06-30T12:00:00Z"), order("FR", "GBP", 1, 1000, 0), confirmed)
	l.Add(t, "order-c", at("2011-06-30T12:00:00Z"), order("GB", "EUR", 3, 300, 0), confirmed)
	l.Add(t, "order-d", at("2011-06-15T12:00:00Z"), order("GB", "GBP", 9, 9000, 0)) // never confirmed
	l.Add(t, "order-d", at("2011-06-15T13:00:00Z"), events.OrderCancelled{N: 1, Lines: []events.LineQuantity{{Line: 1, Quantity: 9}}})
	l.Add(t, "order-b", at("2011-07-02T12:00:00Z"), events.OrderCancelled{N: 1, Lines: []events.LineQuantity{{Line: 1, Quantity: 1}}})
	// The second return is recorded before the first: both are dated.
	l.Add(t, "payment-a", at("2011-08-01T12:00:00Z"), events.PaymentRefundRecorded{RecordID: "C1", Amount: events.Money{Amount: 1000, Currency: "GBP"}})
	l.Add(t, "payment-a", at("2011-09-01T12:00:00Z"), events.PaymentRefundRecorded{RecordID: "C2", Amount: events.Money{Amount: 900, Currency: "GBP"}})
	l.Add(t, "order-a", at("2011-08-01T12:00:00Z"), events.OrderLinesReturned{ReturnID: "C1", Lines: []events.ReturnedLine{{Line: 1, Quantity: 1}}})
	last := l.Add(t, "order-a", at("2011-09-01T12:00:00Z"), events.OrderLinesReturned{ReturnID: "C2", Lines: []events.ReturnedLine{{Line: 1, Quantity: 1}}})
	q := sales.Queries{View: l.View(t, events.Catalog(), sales.Projection), Zone: "Europe/London"}

	june := sales.Sum{Group: "2011-06", Currency: "GBP", Orders: 2, Units: 3, Goods: 3000, Shipping: 395, Total: 3395}
	euros := sales.Sum{Group: "2011-06", Currency: "EUR", Orders: 1, Units: 3, Goods: 300, Total: 300}
	july := sales.Sum{Group: "2011-07", Currency: "GBP", Cancelled: 1000}
	august := sales.Sum{Group: "2011-08", Currency: "GBP", ReturnedUnits: 1, Refunded: 1000}
	september := sales.Sum{Group: "2011-09", Currency: "GBP", ReturnedUnits: 1, Refunded: 900}
	for _, c := range []struct {
		name string
		ask  query.Ask
		by   sales.By
		days sales.Range
		want []sales.Sum
	}{
		{"by month", query.Ask{MinPosition: last}, sales.Month, sales.Range{}, []sales.Sum{euros, june, july, august, september}},
		{"as of July", query.Ask{Moment: query.Moment{AsOf: new(at("2011-07-31T00:00:00Z"))}}, sales.Month, sales.Range{}, []sales.Sum{euros, june, july}},
		{"as of August", query.Ask{Moment: query.Moment{AsOf: new(at("2011-08-31T00:00:00Z"))}}, sales.Month, sales.Range{}, []sales.Sum{euros, june, july, august}},
		{"as of a confirmation", query.Ask{Moment: query.Moment{AsOf: new(at("2011-05-31T23:30:00Z"))}}, sales.Country, sales.Range{},
			[]sales.Sum{{Group: "GB", Currency: "GBP", Orders: 1, Units: 2, Goods: 2000, Shipping: 395, Total: 2395}}},
		{"before all", query.Ask{Moment: query.Moment{AsOf: new(at("2011-05-31T23:29:59Z"))}}, sales.Month, sales.Range{}, []sales.Sum{}},
		{"as known when the first was placed", query.Ask{Moment: query.Moment{KnownAt: new(viewtest.Recorded(2))}}, sales.Day, sales.Range{},
			[]sales.Sum{{Group: "2011-06-01", Currency: "GBP", Orders: 1, Units: 2, Goods: 2000, Shipping: 395, Total: 2395}}},
		{"by country", query.Ask{}, sales.Country, sales.Range{}, []sales.Sum{
			{Group: "FR", Currency: "GBP", Orders: 1, Units: 1, Goods: 1000, Total: 1000, Cancelled: 1000},
			{Group: "GB", Currency: "EUR", Orders: 1, Units: 3, Goods: 300, Total: 300},
			{Group: "GB", Currency: "GBP", Orders: 1, Units: 2, Goods: 2000, Shipping: 395, Total: 2395, ReturnedUnits: 2, Refunded: 1900},
		}},
		{"from the first day to the first", query.Ask{}, sales.Day, sales.Range{From: new(at("2011-06-01T00:00:00Z")), To: new(at("2011-06-01T00:00:00Z"))},
			[]sales.Sum{{Group: "2011-06-01", Currency: "GBP", Orders: 1, Units: 2, Goods: 2000, Shipping: 395, Total: 2395}}},
		{"until the day before", query.Ask{}, sales.Day, sales.Range{To: new(at("2011-05-31T00:00:00Z"))}, []sales.Sum{}},
		{"from July", query.Ask{}, sales.Month, sales.Range{From: new(at("2011-07-01T00:00:00Z"))}, []sales.Sum{july, august, september}},
	} {
		t.Run(c.name, func(t *testing.T) {
			page, _, err := q.Report(t.Context(), c.ask, c.by, c.days, nil, 100)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, page.Items); diff != "" || page.Next != nil {
				t.Errorf("(-want +got)\n%s next %v", diff, page.Next)
			}
		})
	}
	t.Run("in pages", func(t *testing.T) {
		var all []sales.Sum
		var after *sales.Cursor
		for range 5 {
			page, _, err := q.Report(t.Context(), query.Ask{}, sales.Month, sales.Range{}, after, 1)
			if err != nil || len(page.Items) != 1 {
				t.Fatal(page, err)
			}
			all, after = append(all, page.Items...), page.Next
			if after == nil {
				break
			}
		}
		if diff := cmp.Diff([]sales.Sum{euros, june, july, august, september}, all); diff != "" || after != nil {
			t.Error(diff)
		}
	})
	t.Run("until the first day there is", func(t *testing.T) {
		page, _, err := q.Report(t.Context(), query.Ask{}, sales.Day, sales.Range{To: new(time.Time{})}, nil, 100)
		if err != nil || len(page.Items) != 0 {
			t.Errorf("%v %v", page.Items, err)
		}
	})
	t.Run("as of the first moment there is", func(t *testing.T) {
		page, answer, err := q.Report(t.Context(), query.Ask{Moment: query.Moment{AsOf: new(time.Time{})}}, sales.Month, sales.Range{}, nil, 100)
		if err != nil || len(page.Items) != 0 || answer.AsOf == nil || !answer.AsOf.IsZero() {
			t.Errorf("%v as of %v, %v", page.Items, answer.AsOf, err)
		}
	})
	if _, _, err := q.Report(t.Context(), query.Ask{}, "year", sales.Range{}, nil, 1); err == nil {
		t.Error("sums by year were given")
	}
}
