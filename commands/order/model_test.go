package order_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/modeltest"
	"github.com/daybook-dev/daybook/kit/es"
)

// Whatever commands come, in whatever order: units are neither lost nor made, an order ends once, its snapshot stays, and
// a saga that asks is answered by an event unless its request is pending.
func TestUnitsAreConserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o order.Order
		ended := map[string]int{}
		recorded := rapid.Bool().Draw(t, "recorded")
		for range rapid.IntRange(1, 25).Draw(t, "commands") {
			c := anyCommand(t, recorded)
			before := o.Status
			facts, err := c.Decide(o)
			if err != nil && es.Rejected(err) == "" {
				t.Fatalf("%#v: %v", c, err)
			}
			for _, e := range facts {
				o.Evolve(e)
				switch e.(type) {
				case events.OrderRejected, events.OrderCancelled, events.OrderClosed:
					ended["any"]++
				}
			}
			if len(facts) == 0 && err == nil {
				checkNothing(t, c, before)
			}
			for i, l := range o.Lines {
				p := o.Placed.Lines[i]
				if l.Quantity != p.Quantity || l.Quantity != l.Open+l.Shipped+l.Cancelled || l.Open < 0 ||
					l.Returned > l.Delivered || l.Delivered > l.Shipped {
					t.Fatalf("after %#v: line %+v of %+v", c, l, p)
				}
			}
			if ended["any"] > 1 {
				t.Fatalf("after %#v the order ended again", c)
			}
			if o.Status != order.None && (o.Placed.Total != placed().Total || len(o.Placed.Lines) != 2) {
				t.Fatalf("after %#v the snapshot is %+v", c, o.Placed)
			}
		}
	})
}

// checkNothing tells whether an answer without events is true.
func checkNothing(t *rapid.T, c es.Decision[order.Order], before order.Status) {
	var lawful []order.Status
	switch c.(type) {
	case order.Confirm:
		lawful = []order.Status{order.Confirmed, order.Closed, order.Cancelling}
	case order.Reject:
		lawful = []order.Status{order.Rejected, order.Cancelled}
	case order.RequestCancel:
		lawful = []order.Status{order.Cancelling, order.Cancelled, order.Rejected}
	case order.Cancel:
		lawful = []order.Status{order.Cancelled}
	case order.Record, order.RecordReturned, order.RefuseCancel:
		return
	}
	if !slices.Contains(lawful, before) {
		t.Fatalf("%#v of an order that is %q is nothing to do", c, before)
	}
}

func anyCommand(t *rapid.T, recorded bool) es.Decision[order.Order] {
	n := rapid.IntRange(1, 3).Draw(t, "n")
	p := placed()
	switch rapid.IntRange(0, 7).Draw(t, "command") {
	case 0, 1:
		if recorded {
			return order.Record{Order: p}
		}
		return order.Place{Order: p}
	case 2:
		return order.Confirm{OrderID: "o1"}
	case 3:
		return order.Reject{OrderID: "o1", Code: "out_of_stock"}
	case 4:
		return order.RequestCancel{OrderID: "o1"}
	case 5:
		return order.Cancel{OrderID: "o1", N: n % 3}
	case 6:
		return order.RefuseCancel{OrderID: "o1", N: n}
	default:
		return order.RecordReturned{
			OrderID: "o1", ReturnID: rapid.SampledFrom([]string{"C1", "C2", "C3"}).Draw(t, "return"),
			Lines: []events.ReturnedLine{{Line: n, Quantity: rapid.IntRange(0, 2).Draw(t, "quantity"), Refund: 1}},
		}
	}
}

func TestMain(m *testing.M) { modeltest.Main(m) }
