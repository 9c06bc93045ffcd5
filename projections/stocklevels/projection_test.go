package stocklevels_test

import (
	"testing"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/projectiontest"
	"github.com/daybook-dev/daybook/projections/stocklevels"
)

func TestLevels(t *testing.T) {
	past := []es.Event{
		events.StockReceived{Location: "main", Quantity: 10},
		events.StockReserved{Location: "main", Quantity: 4},
		events.StockReserved{Location: "main", Quantity: 2},
		events.StockReleased{Location: "main", Quantity: 1},
		events.StockCommitted{Location: "main", Quantity: 3},
		events.StockRestocked{Location: "main", Quantity: 1},
		events.StockAdjusted{Location: "main", Change: -2},
		events.StockShortfallDetected{Location: "main", Short: 1},
		events.StockWrittenOff{Location: "main", Quantity: 1},
		events.StockPolicySet{Location: "main", Safety: 2},
		events.StockReservationRefused{Location: "main", Requested: 9},
	}
	want := stocklevels.Row{Location: "main", OnHand: 5, Reserved: 2, Safety: 2}
	rows := projectiontest.Given(t, stocklevels.Projection, projectiontest.Past("stock-A", past...), projectiontest.Past("product-B", events.ProductAdded{}))
	rows.ThenRow("A", want)
	rows.ThenNoRow("B")
	if want.Available() != 1 {
		t.Errorf("available %d", want.Available())
	}
}

// The row's revision is the ETag of the SKU: it follows every event of the stream, numbers changed or not.
func TestEveryEventCounts(t *testing.T) {
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := stocklevels.Projection.Plan()
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{}
	for _, typ := range plan.Types {
		read[typ] = true
	}
	for d := range c.Definitions() {
		if len(d.Type) > 6 && d.Type[:6] == "stock." && !read[d.Type] {
			t.Errorf("%s is not read", d.Type)
		}
	}
}
