package checks

import (
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/doctor"
	"github.com/daybook-dev/daybook/internal/doctor/doctortest"
	kit "github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
)

// examine examines a log, and the ledger of its world.
func examine(t testing.TB, w *doctortest.World, log es.Log) *kit.Report {
	t.Helper()
	r, err := doctor.Examine(t.Context(), doctor.Config{
		Log: log, Catalog: w.Catalog, Sagas: w.Machines, Checks: All(w.Ledger()), Settle: time.Nanosecond, Patience: time.Nanosecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var finds = doctortest.Finds

func TestAllIsWell(t *testing.T) {
	t.Parallel()
	w := doctortest.Shop(t)
	r := examine(t, w, w.Store)
	if !r.Healthy || !r.AtRest || r.Checked["orders"] != 4 || r.Checked["orders at rest"] != 4 || r.Checked["charges"] != 2 || r.Checked["skus"] != 1 {
		t.Errorf("at rest %t, looked at %v, found %v", r.AtRest, r.Checked, r.Findings)
	}
	doctortest.Record[doctortest.AnyOrder](w, "late", es.Call{}, events.OrderPlaced{OrderID: "late", Currency: "GBP"})
	if r := examine(t, w, w.Store); r.Checked["orders"] != 5 || r.Checked["orders at rest"] != 4 {
		t.Errorf("an order whose saga has not begun: %v", r.Checked)
	}
}

// A log or a ledger as it must never be, and what is found.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	money := func(n int64) events.Money { return events.Money{Amount: n, Currency: "GBP"} }
	for _, tt := range []struct {
		name, invariant string
		words           []string
		alter           func([]es.Record) []es.Record // of the log as it is read
		tell            func(*doctortest.World)       // before it is read
	}{
		{name: "money is held for a rejected order", invariant: "I4", words: []string{"payment-short", "rejected", "expected 0.00 GBP, found 9.00 GBP"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyPayment](w, "short", es.Call{}, events.PaymentAuthorised{OrderID: "short", Attempt: 1, Amount: money(900), Reference: "ch_9"})
			}},
		{name: "too little is held", invariant: "I4", words: []string{"payment-confirmed", "expected 5.00 GBP, found 4.99 GBP"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyPayment](w, "confirmed", es.Call{}, events.PaymentAuthorised{OrderID: "confirmed", Attempt: 1, Amount: money(499), Reference: "ch_1"})
			}},
		{name: "money was recorded on top", invariant: "I4", words: []string{"payment-confirmed", "found 5.01 GBP"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyPayment](w, "confirmed", es.Call{}, events.PaymentRecorded{OrderID: "confirmed", RecordID: "r", Amount: money(1), Method: "cash"})
			}},
		{name: "another currency", invariant: "I4", words: []string{"payment-confirmed", "expected GBP, found EUR"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyPayment](w, "confirmed", es.Call{}, events.PaymentRecorded{OrderID: "confirmed", RecordID: "r", Amount: events.Money{Amount: 1, Currency: "EUR"}})
			}},
		{name: "money of no order", invariant: "I4", words: []string{"payment-unknown", "does not exist"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyPayment](w, "unknown", es.Call{}, events.PaymentRecorded{OrderID: "unknown", RecordID: "r", Amount: money(1)})
			}},
		{name: "a charge is held for a cancelled order", invariant: "I4", words: []string{"payment-cancelled", "charge ch_2", "holding 7.50 GBP"},
			tell: func(w *doctortest.World) { w.Charges[1].Status, w.Charges[1].Open = "authorised", 750 }},
		{name: "a charge that the log does not know", invariant: "I4", words: []string{"payment-declined", "charge ch_3", "does not know"},
			tell: func(w *doctortest.World) {
				w.Charges = append(w.Charges, doctortest.Charge{ID: "ch_3", OrderID: "declined", Attempt: 1, Status: "authorised", Currency: "GBP", Authorised: 250, Open: 250})
			}},
		{name: "charged twice", invariant: "I4", words: []string{"payment-confirmed", "charged twice"},
			tell: func(w *doctortest.World) {
				again := w.Charges[0]
				again.ID = "ch_3"
				w.Charges = append(w.Charges, again)
			}},
		{name: "a charge of no order", invariant: "I4", words: []string{"payment-unknown", "does not exist"},
			tell: func(w *doctortest.World) {
				w.Charges = append(w.Charges, doctortest.Charge{ID: "ch_3", OrderID: "unknown", Attempt: 1, Status: "authorised", Currency: "GBP", Authorised: 1, Open: 1})
			}},
		{name: "a charge is gone", invariant: "I4", words: []string{"payment-confirmed", "charge ch_1", "does not know"},
			tell: func(w *doctortest.World) { w.Charges = w.Charges[1:] }},
		{name: "stock of a cancelled order is kept", invariant: "I5", words: []string{"stock-A", "cancelled/1/1", "its order is cancelled"},
			alter: func(log []es.Record) []es.Record {
				for i, r := range log {
					if r.Type == "stock.released" && r.Stream.Key == "A" {
						log[i].Data = []byte(`{"sku":"A","location":"main","reservation_id":"cancelled/1/1","order_id":"cancelled","quantity":0}`)
					}
				}
				return log
			}},
		{name: "stock of a confirmed order is gone", invariant: "I5", words: []string{"order-confirmed", "line 1", "expected 2, found 0"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyStock](w, "A", es.Call{}, events.StockReleased{SKU: "A", ReservationID: "confirmed/1/1", OrderID: "confirmed", Quantity: 2})
			}},
		{name: "a reservation of no order", invariant: "I5", words: []string{"stock-A@", "unknown/1/1", "does not exist"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyStock](w, "A", es.Call{}, events.StockReserved{SKU: "A", ReservationID: "unknown/1/1", OrderID: "unknown", Quantity: 1})
			}},
		{name: "more reserved than there is", invariant: "I5", words: []string{"stock-A@", "more is promised than there is"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyStock](w, "A", es.Call{}, events.StockReserved{SKU: "A", ReservationID: "confirmed/2/1", OrderID: "confirmed", Quantity: 99})
			}},
		{name: "released twice", invariant: "I5", words: []string{"stock-A@", "gives more than it holds"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyStock](w, "A", es.Call{}, events.StockReleased{SKU: "A", ReservationID: "confirmed/1/1", OrderID: "confirmed", Quantity: 3})
			}},
		{name: "a wrong count", invariant: "I5", words: []string{"stock-A@", "expected 99, found 98"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyStock](w, "A", es.Call{}, events.StockAdjusted{SKU: "A", Change: -1, OnHand: 98})
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := doctortest.Shop(t)
			if tt.tell != nil {
				tt.tell(w)
			}
			var log es.Log = w.Store
			if tt.alter != nil {
				log = w.Altered(tt.alter)
			}
			finds(t, examine(t, w, log), tt.invariant, tt.words...)
		})
	}
}

// folded is a shop's log folded, with all sagas at rest.
func folded(t *testing.T, w *doctortest.World, most int) *books {
	t.Helper()
	b := newBooks()
	b.seen, b.out = kit.Seen{Resting: func(string) bool { return true }}, kit.NewReport()
	for _, rec := range w.Store.All(0)[:most] {
		e, err := w.Catalog.Open(rec)
		if err != nil {
			t.Fatal(err)
		}
		b.fold(e, b.out)
	}
	return b
}

// While a system runs, its ledger and its log are not read at the same moment.
func TestLedgerThatMoves(t *testing.T) {
	t.Parallel()
	w := doctortest.Shop(t)
	var charges []charge
	for _, c := range w.Charges {
		charges = append(charges, charge(c))
	}
	b := folded(t, w, len(w.Store.All(0)))
	later := charge{ID: "ch_9", OrderID: "not yet", Attempt: 1, Status: "authorised", Currency: "GBP", Authorised: 1, Open: 1}
	voided := slices.Clone(charges)
	voided[0].Status, voided[0].Open = "voided", 0
	b.compareLedger(&ledger{before: charges, after: append(voided, later)})
	if len(b.out.Findings) > 0 {
		t.Error(b.out.Findings)
	}
	b.compareLedger(&ledger{before: voided, after: append(voided, later)})
	finds(t, b.out, "I4", "charge ch_1", "voided")
}

// What the provider owes an answer to needs a reactor that asks for it.
func TestThePaymentIsAttendedTo(t *testing.T) {
	t.Parallel()
	w := doctortest.New(t)
	w.Stocked("A", 100)
	w.Place("confirmed", 2, "")
	log := w.Store.All(0)
	asked := doctortest.Find(log, "payment-confirmed", "payment.authorisation_requested")
	b := folded(t, w, asked+1)
	for _, attended := range []map[es.UUID]bool{nil, {log[asked].ID: true}} {
		b.seen.Attended = attended
		if b.checkIntents(); len(b.out.Findings) > 0 {
			t.Errorf("attended %v: %v", attended, b.out.Findings)
		}
	}
	b.seen.Attended = map[es.UUID]bool{}
	b.checkIntents()
	finds(t, b.out, "I6", "payment-confirmed", "the provider is never asked about attempt 1")
}

// The stock read model says what was counted.
func TestLevelsAreThoseCounted(t *testing.T) {
	t.Parallel()
	w := doctortest.Shop(t)
	b := folded(t, w, len(w.Store.All(0)))
	shown := func(revision uint64, onHand int) {
		row := kit.Row{Name: "stock_levels A", Key: "A", Revision: revision, Columns: map[string]any{"on_hand": onHand, "reserved": b.shelves["A"].reserved}}
		b.seen.Rows = func(readModel string) iter.Seq[kit.Row] {
			return slices.Values(map[string][]kit.Row{"stock_levels": {row}}[readModel])
		}
		b.checkLevels()
	}
	shown(b.shelves["A"].revision, 100)
	shown(b.shelves["A"].revision-1, 7) // it is behind
	if len(b.out.Findings) > 0 {
		t.Error(b.out.Findings)
	}
	shown(b.shelves["A"].revision, 7)
	finds(t, b.out, "I5", "stock_levels A", "expected 100 and 2, found 7 and 2")
}
