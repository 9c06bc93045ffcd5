package orchestrator

import (
	"strings"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/kit/saga/sagatest"
)

// conserved checks I4 and I5 for orders at rest, and that no command took effect twice.
func (w *world) conserved(orders, skus []string) {
	w.t.Helper()
	live := map[string]int{}
	for _, id := range orders {
		o := w.order(id)
		held := int64(0)
		for _, a := range load[payment.Payment](w, id).Attempts {
			held += a.Held.Amount
		}
		switch o.Status {
		case order.Confirmed:
			if held != o.Placed.Total {
				w.t.Errorf("%s is confirmed and holds %d of %d", id, held, o.Placed.Total)
			}
			for _, l := range o.Placed.Lines {
				live[l.SKU] += l.Quantity
			}
		case order.Rejected, order.Cancelled:
			if held != 0 {
				w.t.Errorf("%s is %s and holds %d", id, o.Status, held)
			}
		case order.None, order.Placed, order.Cancelling, order.Closed:
			w.t.Errorf("%s is left %s", id, o.Status)
		}
	}
	for _, sku := range skus {
		if s := load[stock.Stock](w, sku); s.Reserved != live[sku] || s.Available() < 0 {
			w.t.Errorf("%s: %d reserved, live orders have %d; %d available", sku, s.Reserved, live[sku], s.Available())
		}
	}
	type taken struct {
		stream es.StreamID
		effect es.UUID
		typ    string
	}
	seen := map[taken]bool{}
	for _, r := range w.store.All(0) {
		rec, err := w.catalog.Open(r)
		if err != nil {
			w.t.Fatal(err)
		}
		if id := rec.Meta.Command.ID; rec.Meta.Actor.Kind == "saga" && !id.IsZero() {
			k := taken{r.Stream, id, r.Type}
			if seen[k] {
				w.t.Errorf("%s took effect twice: %s", id, r.Type)
			}
			seen[k] = true
			if rec.Meta.Effect.ID != id {
				w.t.Errorf("%s@%d does not name its effect", r.Stream, r.Revision)
			}
		}
	}
}

// types of the events in a stream, in order.
func (w *world) types(s es.StreamID) (out []string) {
	for _, r := range w.store.All(0) {
		if r.Stream == s {
			out = append(out, r.Type)
		}
	}
	return out
}

// said counts what an instance's stream says of a kind: started, answered, timer_due, or a decision.
func (w *world) said(instance, kind string) (n int) {
	for _, r := range w.store.All(0) {
		if r.Stream.String() == instance {
			n += w.says(r, kind)
		}
	}
	return n
}

func (w *world) says(r es.Record, kind string) (n int) {
	e, err := w.catalog.Open(r)
	if err != nil {
		w.t.Error(err)
		return 0
	}
	stepped, _ := e.Event.(machine.Stepped)
	for _, t := range stepped.Taken {
		for _, line := range sagatest.Lines(t) {
			if said, _, _ := strings.Cut(line, " "); said == kind {
				n++
			}
		}
	}
	return n
}

func (w *world) count(s es.StreamID, typ string) int {
	n := 0
	for _, have := range w.types(s) {
		if have == typ {
			n++
		}
	}
	return n
}
