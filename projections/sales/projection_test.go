package sales_test

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/projection/projectiontest"
	"github.com/daybook-dev/daybook/projections/sales"
)

func minute(n int) time.Time { return time.Date(2011, 1, 1, 0, n, 0, 0, time.UTC) }

func TestMovements(t *testing.T) {
	placed := events.OrderPlaced{
		ShipTo: events.Address{Country: "GB"}, Currency: "GBP", Lines: []events.OrderLine{{Quantity: 2}, {Quantity: 1}},
		Goods: 3498, Shipping: events.Shipping{Price: 395}, Total: 3893,
	}
	sale := sales.Row{Kind: sales.Sale, At: minute(0), Currency: "GBP", Country: "GB", Units: 3, Goods: 3498, Shipping: 395, Total: 3893}
	counted := sale
	counted.Counted = true
	rows := projectiontest.Given(t, sales.Projection,
		projectiontest.Past("order-o1", placed, events.OrderConfirmed{},
			events.OrderLinesReturned{ReturnID: "C2", Lines: []events.ReturnedLine{{Line: 1, Quantity: 1}, {Line: 2, Quantity: 1}}}),
		projectiontest.Past("payment-o1", events.PaymentRecorded{}, events.PaymentRefundRecorded{RecordID: "C2", Amount: events.Money{Amount: 1299, Currency: "GBP"}}),
		projectiontest.Past("order-o2", placed, events.OrderRejected{}),
		projectiontest.Past("order-o3", placed, events.OrderConfirmed{}, events.OrderCancelled{N: 1, Lines: []events.LineQuantity{{Line: 1, Quantity: 2}, {Line: 2, Quantity: 1}}}))
	rows.ThenRow("o1", counted)
	rows.ThenRow("o1/return/C2", sales.Row{Kind: sales.Return, At: minute(2), Units: 2})
	rows.ThenRow("o1/refund/C2", sales.Row{Kind: sales.Refund, At: minute(1), Amount: 1299})
	rows.ThenRow("o2", sale)
	rows.ThenRow("o3", counted)
	rows.ThenRow("o3/cancellation/1", sales.Row{Kind: sales.Cancellation, At: minute(2), Units: 3})
}
