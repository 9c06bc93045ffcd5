// Package agreement holds deciders and read models to the same truth: both fold the same events, each in its own way.
package agreement

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/projections/orderdetails"
	"github.com/daybook-dev/daybook/projections/orderlist"
	"github.com/daybook-dev/daybook/projections/stocklevels"
)

// world is one order, its payment and the stock of its SKU, folded by deciders and by read models.
type world struct {
	t        *rapid.T
	order    order.Order
	payment  payment.Payment
	stock    stock.Stock
	details  rows
	list     rows
	levels   rows
	position uint64
	revision map[string]uint64
}

type rows struct{ batch plan.Batch }

func newRows(t *rapid.T, p projection.Projection) rows {
	plans, err := plan.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return rows{plans[0].Begin(0)}
}

func (r rows) fold(t *rapid.T, e es.Recorded) {
	keys, err := r.batch.Touch(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if err := r.batch.Apply(k, e); err != nil {
			t.Fatal(err)
		}
	}
}

// run decides a command and folds what it decided everywhere.
func run[S any, P es.State[S]](w *world, state *S, d es.Decision[S]) {
	facts, err := d.Decide(*state)
	if err != nil && es.Rejected(err) == "" {
		w.t.Fatalf("%#v: %v", d, err)
	}
	stream := es.StreamID{Category: P(nil).Category(), Key: d.Key()}
	for _, e := range facts {
		P(state).Evolve(e)
		w.position++
		at := time.Date(2026, 1, 1, 0, 0, int(w.position), 0, time.UTC)
		r := es.Recorded{Event: e, Stream: stream, Revision: w.revision[stream.Category], Position: w.position, Created: at}
		w.revision[stream.Category]++
		for _, rows := range []rows{w.details, w.list, w.levels} {
			rows.fold(w.t, r)
		}
	}
	w.compare(d)
}

func (w *world) compare(after any) {
	w.t.Helper()
	if s, ok := w.levels.batch.Row(plan.Key{Key: "MUG"}).(*stocklevels.Row); ok {
		if s.OnHand != int64(w.stock.OnHand) || s.Reserved != int64(w.stock.Reserved) || s.Available() != int64(w.stock.Available()) {
			w.t.Fatalf("after %#v: stock %+v, shown as %+v", after, w.stock, *s)
		}
	}
	if w.order.Status == order.None {
		return
	}
	d := w.details.batch.Row(plan.Key{Key: "o1"}).(*orderdetails.Row)
	l := w.list.batch.Row(plan.Key{Key: "o1"}).(*orderlist.Row)
	if string(w.order.Status) != d.Status || d.Status != l.Status || d.Total != w.order.Placed.Total || l.Total != d.Total {
		w.t.Fatalf("after %#v: the order is %s, shown as %s, listed as %s", after, w.order.Status, d.Status, l.Status)
	}
	for i, a := range w.order.Lines {
		b := d.Lines[i]
		if a != (order.Line{Line: b.Line, Quantity: b.Quantity, Open: b.Open, Shipped: b.Shipped, Delivered: b.Delivered, Cancelled: b.Cancelled, Returned: b.Returned}) {
			w.t.Fatalf("after %#v: line %+v, shown as %+v", after, a, b)
		}
	}
	var held int64
	for _, a := range w.payment.Attempts {
		held += a.Held.Amount
		i := 0
		for i < len(d.Payment.Attempts) && d.Payment.Attempts[i].N != a.N {
			i++
		}
		if i == len(d.Payment.Attempts) || d.Payment.Attempts[i].State != a.State || d.Payment.Attempts[i].Held != a.Held.Amount {
			w.t.Fatalf("after %#v: attempt %+v, shown as %+v", after, a, d.Payment.Attempts)
		}
	}
	if d.Payment.Authorised != held || d.Payment.Captured != w.payment.Captured.Amount || d.Payment.Refunded != w.payment.Refunded.Amount {
		w.t.Fatalf("after %#v: payment %+v, shown as %+v", after, w.payment, d.Payment)
	}
	statuses := "none pending action_required unknown authorised declined partly_captured captured voided partly_refunded refunded"
	if !strings.Contains(" "+statuses+" ", " "+d.Payment.Status+" ") {
		w.t.Fatalf("after %#v: the payment is %q", after, d.Payment.Status)
	}
}

// TestDecidersAndReadModelsAgree runs any commands in any order.
func TestDecidersAndReadModelsAgree(t *testing.T) {
	placed := snapshot(t)
	for range 20 {
		rapid.Check(t, func(t *rapid.T) {
			w := &world{
				t: t, revision: map[string]uint64{},
				details: newRows(t, orderdetails.Projection), list: newRows(t, orderlist.Projection), levels: newRows(t, stocklevels.Projection),
			}
			if rapid.Bool().Draw(t, "recorded") {
				run(w, &w.order, order.Record{Order: placed})
			} else {
				run(w, &w.order, order.Place{Order: placed})
			}
			for range rapid.IntRange(1, 30).Draw(t, "commands") {
				switch rapid.IntRange(0, 2).Draw(t, "of") {
				case 0:
					run(w, &w.order, orderCommand(t))
				case 1:
					run(w, &w.payment, paymentCommand(t))
				default:
					run(w, &w.stock, stockCommand(t))
				}
			}
		})
	}
}

func snapshot(t *testing.T) events.OrderPlaced {
	t.Helper()
	q, err := order.DefaultShop().Quote(
		order.Request{Currency: "GBP", Country: "GB", ShippingMethod: "standard", Lines: []order.Wanted{{SKU: "MUG", Quantity: 2}, {SKU: "MUG", Quantity: 1}}},
		func(string) (order.Offer, bool) {
			return order.Offer{Name: "Mug", Prices: map[string]int64{"GBP": 1299}, TaxClass: "standard"}, true
		})
	if err != nil {
		t.Fatal(err)
	}
	placed := q.Snapshot("o1")
	placed.Number = "1000001"
	return placed
}

func orderCommand(t *rapid.T) es.Decision[order.Order] {
	n := rapid.IntRange(1, 2).Draw(t, "n")
	switch rapid.IntRange(0, 5).Draw(t, "order") {
	case 0:
		return order.Confirm{OrderID: "o1"}
	case 1:
		return order.Reject{OrderID: "o1", Code: "out_of_stock"}
	case 2:
		return order.RequestCancel{OrderID: "o1"}
	case 3:
		return order.Cancel{OrderID: "o1", N: n}
	case 4:
		return order.RefuseCancel{OrderID: "o1", N: n}
	default:
		return order.RecordReturned{OrderID: "o1", ReturnID: fmt.Sprint("C", n), Lines: []events.ReturnedLine{{Line: n, Quantity: 1}}}
	}
}

func paymentCommand(t *rapid.T) es.Decision[payment.Payment] {
	n := rapid.IntRange(1, 3).Draw(t, "attempt")
	amount := events.Money{Amount: rapid.SampledFrom([]int64{4292, 4292, 4292, 1}).Draw(t, "amount"), Currency: "GBP"}
	report := func(e es.Event) es.Decision[payment.Payment] { return payment.Report{OrderID: "o1", Outcome: e} }
	ref := fmt.Sprint("ch_", n)
	switch rapid.IntRange(0, 11).Draw(t, "payment") {
	case 0, 1:
		return payment.Authorise{OrderID: "o1", Attempt: n, Amount: events.Money{Amount: 4292, Currency: "GBP"}}
	case 2:
		return payment.Void{OrderID: "o1", Attempt: n}
	case 3, 4:
		return report(events.PaymentAuthorised{OrderID: "o1", Attempt: n, Amount: amount, Reference: ref})
	case 5:
		return report(events.PaymentDeclined{OrderID: "o1", Attempt: n, Code: "no_cash", Reference: ref})
	case 6:
		return report(events.PaymentActionRequired{OrderID: "o1", Attempt: n, Reference: ref, Action: events.PaymentAction{Type: "redirect"}})
	case 7:
		return report(events.PaymentOutcomeUnknown{OrderID: "o1", Attempt: n, Operation: rapid.SampledFrom([]string{"authorise", "void"}).Draw(t, "operation")})
	case 8:
		return report(events.PaymentVoidSucceeded{OrderID: "o1", Attempt: n})
	case 9:
		return report(events.PaymentVoidFailed{OrderID: "o1", Attempt: n, N: 1})
	case 10:
		return report(events.PaymentAuthorisationExpired{OrderID: "o1", Attempt: n})
	default:
		if n == 1 {
			return payment.RecordRefund{OrderID: "o1", RecordID: ref, Amount: amount}
		}
		return payment.Record{OrderID: "o1", RecordID: ref, Amount: amount}
	}
}

func stockCommand(t *rapid.T) es.Decision[stock.Stock] {
	n := rapid.IntRange(0, 9).Draw(t, "quantity")
	id := fmt.Sprintf("o1/%d/1", rapid.IntRange(1, 3).Draw(t, "line"))
	switch rapid.IntRange(0, 7).Draw(t, "stock") {
	case 0, 1:
		return stock.Receive{SKU: "MUG", ReceiptID: fmt.Sprint("PO-", n), Quantity: n}
	case 2, 3:
		return stock.Reserve{SKU: "MUG", ReservationID: id, Quantity: n}
	case 4:
		return stock.Release{SKU: "MUG", ReservationID: id}
	case 5:
		return stock.Commit{SKU: "MUG", ReservationID: id, Quantity: n}
	case 6:
		return stock.Adjust{SKU: "MUG", Change: n - 5}
	default:
		return stock.SetPolicy{SKU: "MUG", Safety: n / 3}
	}
}
