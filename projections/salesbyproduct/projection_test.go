package salesbyproduct_test

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/projection/projectiontest"
	"github.com/daybook-dev/daybook/projections/salesbyproduct"
)

func minute(n int) time.Time { return time.Date(2011, 1, 1, 0, n, 0, 0, time.UTC) }

func TestMovements(t *testing.T) {
	placed := events.OrderPlaced{Currency: "GBP", Lines: []events.OrderLine{
		{Line: 1, SKU: "A", Quantity: 2, UnitPrice: 1299}, {Line: 2, SKU: "A", Quantity: 1, UnitPrice: 900},
	}}
	rows := projectiontest.Given(t, salesbyproduct.Projection,
		projectiontest.Past("order-o1", placed, events.OrderConfirmed{},
			events.OrderLinesReturned{ReturnID: "C2", Lines: []events.ReturnedLine{
				{Line: 1, SKU: "A", Quantity: 1, Refund: 1299}, {Line: 1, SKU: "A", Quantity: 1, Refund: 1000}, {Line: 2, SKU: "A", Quantity: 1, Refund: 900},
			}}),
		projectiontest.Past("order-o2", placed, events.OrderCancelled{N: 1, Lines: []events.LineQuantity{{Line: 1, Quantity: 2}, {Line: 2, Quantity: 1}}}))
	rows.ThenRow("o1", salesbyproduct.Row{Kind: salesbyproduct.Order, Counted: true, At: minute(0), Currency: "GBP"})
	rows.ThenRow("o1/line//1", salesbyproduct.Row{Kind: salesbyproduct.Line, At: minute(0), Currency: "GBP", Line: 1, SKU: "A", Units: 2, Price: 1299, Amount: 2598})
	rows.ThenRow("o1/line//2", salesbyproduct.Row{Kind: salesbyproduct.Line, At: minute(0), Currency: "GBP", Line: 2, SKU: "A", Units: 1, Price: 900, Amount: 900})
	rows.ThenRow("o1/return/C2/1", salesbyproduct.Row{Kind: salesbyproduct.Return, At: minute(2), Line: 1, SKU: "A", Units: 2, Amount: 2299})
	rows.ThenRow("o1/return/C2/2", salesbyproduct.Row{Kind: salesbyproduct.Return, At: minute(2), Line: 2, SKU: "A", Units: 1, Amount: 900})
	rows.ThenRow("o2", salesbyproduct.Row{Kind: salesbyproduct.Order, At: minute(0), Currency: "GBP"})
	rows.ThenRow("o2/cancellation/1/1", salesbyproduct.Row{Kind: salesbyproduct.Cancellation, At: minute(1), Line: 1, Units: 2})
}
