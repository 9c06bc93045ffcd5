package orderlist_test

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/projectiontest"
	"github.com/daybook-dev/daybook/projections/orderlist"
)

func TestStatuses(t *testing.T) {
	placed := events.OrderPlaced{
		OrderID: "o1", Number: "1000001", Customer: events.Buyer{ID: "C-1"}, ShipTo: events.Address{Country: "GB"}, Currency: "GBP", Total: 2993,
	}
	for want, past := range map[string][]es.Event{
		"placed":     {},
		"confirmed":  {events.OrderConfirmed{}},
		"rejected":   {events.OrderRejected{}},
		"cancelling": {events.OrderCancelRequested{}},
		"cancelled":  {events.OrderCancelRequested{}, events.OrderCancelled{}},
		"closed":     {events.OrderConfirmed{}, events.OrderClosed{}},
	} {
		row := orderlist.Row{
			Number: "1000001", Status: want, Total: 2993, Currency: "GBP", PlacedAt: time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC),
			Country: "GB", CustomerID: "C-1",
		}
		if want == "cancelling" || want == "cancelled" {
			row.StatusBefore = "placed"
		}
		projectiontest.Given(t, orderlist.Projection, projectiontest.Past("order-o1", append([]es.Event{placed}, past...)...)).ThenRow("o1", row)
	}
	back := projectiontest.Given(t, orderlist.Projection,
		projectiontest.Past("order-o1", events.OrderConfirmed{}, events.OrderCancelRequested{}, events.OrderCancelRefused{}),
		projectiontest.Past("payment-o2", events.PaymentInitiated{}))
	back.ThenRow("o1", orderlist.Row{Status: "confirmed", StatusBefore: "confirmed"})
	back.ThenNoRow("o2")
}
