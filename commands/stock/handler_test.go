package stock_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// Two processes sell the same SKU to 150 buyers at once: each unit goes to one of them, and every buyer is answered.
func TestNothingIsPromisedTwice(t *testing.T) {
	store := memory.New()
	catalog, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	processes := []*es.Handler{es.NewHandler(store, catalog, time.Now), es.NewHandler(store, catalog, time.Now)}
	if _, err := es.Handle(t.Context(), processes[0], stock.Receive{SKU: "A", ReceiptID: "PO-1", Quantity: 100}, es.Call{}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 150 {
		for range 2 { // and every command is sent twice
			wg.Go(func() {
				c := reserve(fmt.Sprintf("o%d/1/1", i), 1)
				r, err := es.Handle(t.Context(), processes[i%2], c, es.Call{ID: es.EffectID("placement-o", "reserve", strconv.Itoa(i), 1, es.Do)})
				if err != nil || len(r.Events) != 1 {
					t.Errorf("buyer %d: %+v, %v", i, r, err)
				}
			})
		}
	}
	wg.Wait()
	s, err := es.Load[stock.Stock](t.Context(), processes[0], "A", nil)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, r := range s.State.Reservations {
		if r.Refused {
			refused++
		}
	}
	if s.State.Reserved != 100 || s.State.OnHand != 100 || refused != 50 || s.Revision != 150 {
		t.Errorf("%d of %d reserved, %d refused, revision %d", s.State.Reserved, s.State.OnHand, refused, s.Revision)
	}
}
