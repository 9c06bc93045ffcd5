package stock_test

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// A saga gave up waiting for its reservation and released it, and only then the reservation arrives, at a process that
// knows nothing of all this: the stock stays free, and both commands are answered.
func TestAReleaseOvertakesItsReservation(t *testing.T) {
	store := memory.New()
	catalog, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	process := func() *es.Handler { return es.NewHandler(store, catalog, time.Now) }
	if _, err := es.Handle(t.Context(), process(), stock.Receive{SKU: "A", ReceiptID: "PO-1", Quantity: 10}, es.Call{}); err != nil {
		t.Fatal(err)
	}
	effect := func(d es.Direction) es.Call {
		id := es.EffectID("placement-o1", "reserve stock", "1", 1, d)
		return es.Call{ID: id, Effect: es.EffectRef{ID: id, Instance: "placement-o1"}}
	}
	undone, err := es.Handle(t.Context(), process(), release(), effect(es.Undo))
	if err != nil || len(undone.Events) != 1 {
		t.Errorf("the release left %d events, %v: its saga hears nothing", len(undone.Events), err)
	}
	late, err := es.Handle(t.Context(), process(), reserve("r1", 4), effect(es.Do))
	if err != nil || len(late.Events) != 1 {
		t.Errorf("the reservation left %d events, %v", len(late.Events), err)
	}
	s, err := es.Load[stock.Stock](t.Context(), process(), "A", nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.State.Reserved != 0 || s.State.Available() != 10 {
		t.Errorf("%d of %d are reserved for an order that has let them go", s.State.Reserved, s.State.OnHand)
	}
}
