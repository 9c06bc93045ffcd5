package stocklevels_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/viewtest"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/stocklevels"
)

func TestQueries(t *testing.T) {
	var l viewtest.Log
	day := func(n int) time.Time { return time.Date(2011, 1, n, 0, 0, 0, 0, time.UTC) }
	l.Add(t, "stock-A", day(1), events.StockReceived{Location: "main", Quantity: 10})
	l.Add(t, "stock-B~2E1", day(1), events.StockReceived{Location: "main", Quantity: 1}) // the SKU B.1
	last := l.Add(t, "stock-A", day(2), events.StockReserved{Location: "main", Quantity: 4})
	q := stocklevels.Queries{View: l.View(t, events.Catalog(), stocklevels.Projection)}

	a := stocklevels.Level{
		SKU: "A", Row: stocklevels.Row{Location: "main", OnHand: 10, Reserved: 4},
		Stamp: projection.Stamp{Version: 1, Revision: 1, Position: 3, ValidFrom: day(2), RecordedFrom: viewtest.Recorded(3)},
	}
	got, _, err := q.Get(t.Context(), query.Ask{MinPosition: last}, "A")
	if diff := cmp.Diff(&a, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if got, _, err := q.Get(t.Context(), query.Ask{Moment: query.Moment{AsOf: new(day(1))}}, "A"); err != nil || got.Reserved != 0 || got.OnHand != 10 {
		t.Errorf("%v, %+v", err, got)
	}
	if got, _, err := q.Get(t.Context(), query.Ask{}, "C"); err != nil || got != nil {
		t.Errorf("%v, %+v", err, got)
	}
	if got, _, err := q.Get(t.Context(), query.Ask{}, "B.1"); err != nil || got == nil || got.SKU != "B.1" {
		t.Errorf("%v, %+v", err, got)
	}
}
