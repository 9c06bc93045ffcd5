package salesbyproduct_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/viewtest"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/salesbyproduct"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestReport(t *testing.T) {
	var l viewtest.Log
	lines := []events.OrderLine{
		{Line: 1, SKU: "mug", Quantity: 2, UnitPrice: 1299, Discount: 98, Tax: 500, Total: 3000},
		{Line: 2, SKU: "MUG", Quantity: 1, UnitPrice: 900, Tax: 150, Total: 900}, {Line: 3, SKU: "mug", Quantity: 1, UnitPrice: 1000, Total: 1000},
	}
	confirmed := events.OrderConfirmed{}
	l.Add(t, "order-a", at("2011-05-31T23:30:00Z"), events.OrderPlaced{Currency: "GBP", Lines: lines}, confirmed)
	l.Add(t, "order-b", at("2011-06-01T10:00:00Z"), events.OrderPlaced{Currency: "GBP", Lines: lines[:2]}, confirmed)
	l.Add(t, "order-c", at("2011-06-02T10:00:00Z"), events.OrderPlaced{Currency: "GBP", Lines: lines}) // never confirmed
	l.Add(t, "order-c", at("2011-06-02T11:00:00Z"), events.OrderCancelled{N: 1, Lines: []events.LineQuantity{{Line: 1, Quantity: 2}}})
	l.Add(t, "order-b", at("2011-06-03T10:00:00Z"), events.OrderCancelled{N: 1, Lines: []events.LineQuantity{{Line: 1, Quantity: 2}, {Line: 2, Quantity: 1}}})
	l.Add(t, "order-a", at("2011-07-01T10:00:00Z"), events.OrderLinesReturned{
		ReturnID: "C1", Lines: []events.ReturnedLine{{Line: 1, SKU: "mug", Quantity: 1, Refund: 1299}, {Line: 3, SKU: "mug", Quantity: 1, Refund: 1000}},
	})
	q := salesbyproduct.Queries{View: l.View(t, events.Catalog(), salesbyproduct.Projection), Zone: "Europe/London"}

	for _, c := range []struct {
		name string
		ask  query.Ask
		days salesbyproduct.Range
		want []salesbyproduct.Sum
	}{
		{"all", query.Ask{}, salesbyproduct.Range{}, []salesbyproduct.Sum{
			{SKU: "MUG", Currency: "GBP", Orders: 2, Units: 2, Goods: 1800, TaxIncluded: 300, Total: 1800, Cancelled: 900},
			{SKU: "mug", Currency: "GBP", Orders: 2, Units: 5, Goods: 6196, Discount: 196, TaxAdded: 1000, Total: 7000, Cancelled: 3000, ReturnedUnits: 2, Refunded: 2299},
		}},
		{"as of 2 June", query.Ask{Moment: query.Moment{AsOf: new(at("2011-06-02T23:00:00Z"))}}, salesbyproduct.Range{}, []salesbyproduct.Sum{
			{SKU: "MUG", Currency: "GBP", Orders: 2, Units: 2, Goods: 1800, TaxIncluded: 300, Total: 1800}, {SKU: "mug", Currency: "GBP", Orders: 2, Units: 5, Goods: 6196, Discount: 196, TaxAdded: 1000, Total: 7000},
		}},
		{"one day", query.Ask{}, salesbyproduct.Range{From: new(at("2011-07-01T00:00:00Z")), To: new(at("2011-07-01T00:00:00Z"))}, []salesbyproduct.Sum{
			{SKU: "mug", Currency: "GBP", ReturnedUnits: 2, Refunded: 2299},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			page, _, err := q.Report(t.Context(), c.ask, c.days, nil, 100)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, page.Items); diff != "" || page.Next != nil {
				t.Errorf("(-want +got)\n%s next %v", diff, page.Next)
			}
		})
	}
	page, _, err := q.Report(t.Context(), query.Ask{}, salesbyproduct.Range{}, nil, 1)
	if err != nil || page.Next == nil || *page.Next != (salesbyproduct.Cursor{SKU: "MUG", Currency: "GBP"}) {
		t.Fatal(page, err)
	}
	page, _, err = q.Report(t.Context(), query.Ask{}, salesbyproduct.Range{}, page.Next, 1)
	if err != nil || page.Next != nil || len(page.Items) != 1 || page.Items[0].SKU != "mug" {
		t.Fatal(page, err)
	}
}
