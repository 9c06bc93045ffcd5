package sagas

import (
	"slices"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
)

// Cancellation takes a confirmed order that has not been dispatched to cancelled: one instance per request, driven to its
// end. Nothing of it is undone; what is refused is tried again.
func Cancellation() saga.Definition[Cancelling] {
	return saga.Definition[Cancelling]{
		Name: "cancellation", Version: 1,
		Start: saga.StartNumbered(
			func(e events.OrderCancelRequested) (int, bool) { return e.N, e.Driver == events.DriverCancellation },
			func(c *Cancelling, e events.OrderCancelRequested) {
				c.OrderID, c.N, c.Lines, c.Due = e.OrderID, e.N, e.Lines, e.Due()
			}),
		Steps: []saga.Step[Cancelling]{voidPayment, releaseStock, cancelOrder},
	}
}

// Cancelling is what one cancellation has heard so far.
type Cancelling struct {
	OrderID string
	N       int
	Lines   []events.OpenLine
	Due     events.Money
	Payment Money
}

// The money first: stock that is still promised can be given back at any time.
var voidPayment = saga.Step[Cancelling]{
	Name: "void payment",
	Do: func(c Cancelling, _ saga.Turn) saga.Commands {
		if c.Due.IsZero() {
			return nil
		}
		return saga.Send(payment.Void{OrderID: c.OrderID})
	},
	On: append(heard(func(c *Cancelling) *Money { return &c.Payment }),
		saga.Refusal(voidFailed[Cancelling])),
	Done:    func(c Cancelling, _ saga.Turn) bool { return c.Payment.Free() },
	Insists: true,
}

var releaseStock = saga.Step[Cancelling]{
	Name: "release stock",
	Items: func(c Cancelling) []string {
		return items(c.Lines, func(l events.OpenLine) int { return l.Line })
	},
	Do: func(c Cancelling, t saga.Turn) saga.Commands {
		l := c.Lines[slices.IndexFunc(c.Lines, func(l events.OpenLine) bool { return item(l.Line) == t.Item })]
		return saga.Send(stock.Release{SKU: l.SKU, ReservationID: l.ReservationID, OrderID: c.OrderID, At: t.At})
	},
	On:      []saga.Reply[Cancelling]{saga.On(func(*Cancelling, events.StockReleased, saga.At) {})},
	Insists: true,
}

var cancelOrder = saga.Step[Cancelling]{
	Name: "cancel order",
	Do: func(c Cancelling, _ saga.Turn) saga.Commands {
		return saga.Send(order.Cancel{OrderID: c.OrderID, N: c.N})
	},
	On: []saga.Reply[Cancelling]{
		saga.On(func(*Cancelling, events.OrderCancelled, saga.At) {}),
		saga.Refusal(func(_ *Cancelling, e events.OrderCancelRefused, _ saga.At) es.Code { return es.Code(e.Code) }),
	},
	Insists: true,
}
