package stock_test

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/estest"
)

var given = estest.Given[stock.Stock]

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func received(n int) events.StockReceived {
	return events.StockReceived{SKU: "A", Location: "main", ReceiptID: "PO-1", Quantity: n}
}

func reserved(id string, n int) events.StockReserved {
	return events.StockReserved{SKU: "A", Location: "main", ReservationID: id, OrderID: "o1", Quantity: n, At: noon}
}

func released(id string, n int) events.StockReleased {
	return events.StockReleased{SKU: "A", Location: "main", ReservationID: id, OrderID: "o1", Quantity: n, At: noon}
}

func refused(id, code string, requested, available int) events.StockReservationRefused {
	return events.StockReservationRefused{
		SKU: "A", Location: "main", ReservationID: id, OrderID: "o1", Code: code, Requested: requested, Available: available, At: noon,
	}
}

func reserve(id string, n int) stock.Reserve {
	return stock.Reserve{SKU: "A", ReservationID: id, OrderID: "o1", Quantity: n, At: noon}
}

func release() stock.Release {
	return stock.Release{SKU: "A", ReservationID: "r1", OrderID: "o1", At: noon}
}

func commit(n int) stock.Commit {
	return stock.Commit{SKU: "A", ReservationID: "r1", OrderID: "o1", Quantity: n, At: noon}
}

func TestReceive(t *testing.T) {
	c := stock.Receive{SKU: "A", ReceiptID: "PO-1", Quantity: 10}
	given(t).When(c).Then(received(10))
	given(t, received(10)).When(c).ThenNothing()
	given(t, received(9)).When(c).ThenRejected(stock.ReceiptDiffers)
	given(t).When(stock.Receive{SKU: "A", ReceiptID: "PO-1"}).ThenRejected(stock.Invalid)
	given(t).When(stock.Receive{SKU: "A", Quantity: 1}).ThenRejected(stock.Invalid)
	given(t, received(events.MaxAmount)).When(stock.Receive{SKU: "A", ReceiptID: "PO-2", Quantity: 1}).ThenRejected(stock.Invalid)
}

func TestReserve(t *testing.T) {
	given(t, received(10)).When(reserve("r1", 10)).Then(reserved("r1", 10))
	precise := reserve("r1", 10)
	precise.At = noon.Add(999)
	given(t, received(10)).When(precise).Then(reserved("r1", 10))
	given(t, received(10)).When(reserve("r1", 11)).Then(refused("r1", "out_of_stock", 11, 10))
	given(t).When(reserve("r1", 1)).Then(refused("r1", "out_of_stock", 1, 0))
	given(t, received(10), reserved("r1", 4)).When(reserve("r1", 4)).ThenNothing()
	given(t, received(10), reserved("r1", 4)).When(reserve("r1", 5)).ThenRejected(stock.ReservationDiffers)
	given(t, received(10), reserved("r1", 4)).When(reserve("r2", 7)).Then(refused("r2", "out_of_stock", 7, 6))
	given(t, received(10), refused("r1", "out_of_stock", 11, 10)).When(reserve("r1", 1)).ThenNothing()
	given(t, received(10), events.StockPolicySet{Safety: 3}).When(reserve("r1", 8)).Then(refused("r1", "out_of_stock", 8, 7))
	given(t, received(10)).When(reserve("r1", 0)).ThenRejected(stock.Invalid)
}

func TestRelease(t *testing.T) {
	given(t, received(10), reserved("r1", 4)).When(release()).Then(released("r1", 4))
	given(t, received(10), reserved("r1", 4), released("r1", 4)).When(release()).ThenNothing()
	given(t, received(10), refused("r1", "out_of_stock", 11, 10)).When(release()).Then(released("r1", 0))
	given(t, received(10), refused("r1", "out_of_stock", 11, 10), released("r1", 0)).When(release()).ThenNothing()

	// the undo overtakes the do
	given(t, received(10)).When(release()).Then(released("r1", 0))
	given(t, received(10), released("r1", 0)).When(reserve("r1", 4)).Then(refused("r1", "released", 4, 10))
	given(t, received(10), released("r1", 0), refused("r1", "released", 4, 10)).When(reserve("r1", 4)).ThenNothing()
	given(t, received(10), reserved("r1", 4), released("r1", 4)).When(reserve("r1", 4)).Then(refused("r1", "released", 4, 10))
}

func TestCommit(t *testing.T) {
	committed := events.StockCommitted{SKU: "A", Location: "main", ReservationID: "r1", OrderID: "o1", Quantity: 4, At: noon}
	given(t, received(10), reserved("r1", 4)).When(commit(4)).Then(committed)
	given(t, received(10), reserved("r1", 4), committed).When(commit(4)).ThenNothing()
	given(t, received(10), reserved("r1", 4), committed).When(commit(1)).ThenRejected(stock.NotReserved)
	given(t, received(10), reserved("r1", 4)).When(commit(5)).ThenRejected(stock.NotReserved)
	given(t, received(10)).When(commit(1)).ThenRejected(stock.NotReserved)
	missing := events.StockAdjusted{SKU: "A", Location: "main", Change: -7, OnHand: 3}
	given(t, received(10), reserved("r1", 4), missing).When(commit(4)).ThenRejected(stock.NotEnough)
	given(t, received(10), reserved("r1", 4), missing, events.StockReceived{SKU: "A", ReceiptID: "more", Quantity: 1}).When(commit(4)).Then(committed)
	given(t, received(10), reserved("r1", 4)).When(commit(0)).ThenRejected(stock.Invalid)
	given(t, received(10), reserved("r1", 4), committed).When(release()).Then(released("r1", 0))
	given(t, received(10), reserved("r1", 4), committed).When(reserve("r1", 4)).ThenNothing()
	given(t, received(10), reserved("r1", 4), committed).When(reserve("r2", 7)).Then(refused("r2", "out_of_stock", 7, 6))
}

func TestRestock(t *testing.T) {
	c := stock.Restock{SKU: "A", RestockID: "C2/1", OrderID: "o1", Quantity: 3, Recorded: true}
	restocked := events.StockRestocked{SKU: "A", Location: "main", RestockID: "C2/1", OrderID: "o1", Quantity: 3, Recorded: true}
	given(t).When(c).Then(restocked)
	given(t, restocked).When(c).ThenNothing()
	given(t, restocked).When(stock.Restock{SKU: "A", RestockID: "C2/1", Quantity: 4}).ThenRejected(stock.RestockDiffers)
	given(t).When(stock.Restock{SKU: "A", RestockID: "C2/1"}).ThenRejected(stock.Invalid)
}

func TestAdjustAndWriteOff(t *testing.T) {
	adjusted := func(by, now int) events.StockAdjusted {
		return events.StockAdjusted{SKU: "A", Location: "main", Change: by, OnHand: now}
	}
	given(t, received(10)).When(stock.Adjust{SKU: "A", Change: -3}).Then(adjusted(-3, 7))
	given(t, received(10)).When(stock.Adjust{SKU: "A", Change: -11}).ThenRejected(stock.NotEnough)
	given(t).When(stock.Adjust{SKU: "A"}).ThenRejected(stock.Invalid)
	given(t, received(10), reserved("r1", 8)).When(stock.Adjust{SKU: "A", Change: -3}).
		Then(adjusted(-3, 7), events.StockShortfallDetected{SKU: "A", Location: "main", Short: 1})

	given(t, received(10), reserved("r1", 8)).When(stock.WriteOff{SKU: "A", Quantity: 2}).
		Then(events.StockWrittenOff{SKU: "A", Location: "main", Quantity: 2})
	given(t, received(10), reserved("r1", 8)).When(stock.WriteOff{SKU: "A", Quantity: 3}).ThenRejected(stock.NotEnough)
	given(t).When(stock.WriteOff{SKU: "A"}).ThenRejected(stock.Invalid)

	given(t).When(stock.SetPolicy{SKU: "A", Safety: 2}).Then(events.StockPolicySet{SKU: "A", Location: "main", Safety: 2})
	given(t, events.StockPolicySet{Safety: 2}).When(stock.SetPolicy{SKU: "A", Safety: 2}).ThenNothing()
	given(t).When(stock.SetPolicy{SKU: "A", Safety: -1}).ThenRejected(stock.Invalid)
}

func TestEndedReservationsAreForgotten(t *testing.T) {
	early, late := noon, noon.Add(stock.Keep+time.Second)
	rel := func(id string, at time.Time) events.StockReleased {
		e := released(id, 0)
		e.At = at
		return e
	}
	past := []es.Event{
		received(10),
		reserved("open", 1),
		events.StockReserved{ReservationID: "recorded", Quantity: 1, Recorded: true, At: early},
		events.StockCommitted{ReservationID: "recorded", Quantity: 1, Recorded: true, At: early},
		rel("early", early), rel("twice", early), rel("timeless", time.Time{}), rel("at the end of its time", noon.Add(time.Second)),
		events.StockReservationRefused{ReservationID: "twice", At: late},
		rel("late", late),
	}
	var s stock.Stock
	for _, e := range past {
		s.Evolve(e)
	}
	for _, id := range []string{"open", "recorded", "timeless", "at the end of its time", "twice", "late"} {
		if _, known := s.Reservations[id]; !known {
			t.Errorf("%q was forgotten", id)
		}
	}
	if _, known := s.Reservations["early"]; known || len(s.Reservations) != 6 {
		t.Errorf("%d reservations known, early among them: %v", len(s.Reservations), known)
	}
	s.Evolve(rel("later", late.Add(stock.Keep+time.Second)))
	if len(s.Reservations) != 4 { // open, recorded, timeless, later
		t.Errorf("known: %v", s.Reservations)
	}
}

func TestFoldsEveryEvent(t *testing.T) {
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	estest.FoldsAll[stock.Stock](t, c)
}
