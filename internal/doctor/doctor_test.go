package doctor

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

func TestAllIsWell(t *testing.T) {
	w := shop(t)
	r := w.look()
	for _, f := range r.Findings {
		t.Error(f)
	}
	if !r.Healthy || !r.AtRest || len(r.Breaches) > 0 {
		t.Errorf("healthy %t, at rest %t, %v", r.Healthy, r.AtRest, r.Breaches)
	}
	if r.Checked["orders"] != 4 || r.Checked["orders at rest"] != 4 || r.Checked["sagas ended"] != 5 || r.Checked["answers to sagas"] < 20 {
		t.Errorf("looked at %v", r.Checked)
	}
}

// A log as it must never be, and what is found.
func TestBrokenLogs(t *testing.T) {
	confirmed := es.CommandID("somebody", "placeOrder", "orders", "key")
	money := func(n int64) events.Money { return events.Money{Amount: n, Currency: "GBP"} }
	for _, tt := range []struct {
		name, invariant string
		words           []string
		alter           func([]es.Record) []es.Record // of the log as it is read
		tell            func(*world)                  // before it is read
	}{
		{name: "an event is recorded twice", invariant: "I1", words: []string{"order-confirmed@", "is recorded a second time"},
			alter: func(log []es.Record) []es.Record {
				again := log[find(log, "order-confirmed", "order.confirmed")]
				again.Revision, again.Position = again.Revision+1, log[len(log)-1].Position+1
				return append(log, again)
			}},
		{name: "an event without a command", invariant: "I1", words: []string{"stock-A@0", "belongs to no command"},
			alter: func(log []es.Record) []es.Record {
				i := find(log, "stock-A", "stock.received")
				log[i].Meta = []byte(`{"schema":1}`)
				return log
			}},
		{name: "an event was edited", invariant: "I1", words: []string{"stock-A@0", "its id is not the one"},
			alter: func(log []es.Record) []es.Record {
				i := find(log, "stock-A", "stock.received")
				log[i].Data = []byte(`{"sku":"A","location":"main","receipt_id":"r-A","quantity":101}`)
				return log
			}},
		{name: "an answer without a question", invariant: "I1", words: []string{"stock-A@", "never asked for"},
			tell: func(w *world) {
				tell[anyStock](w, "A", es.Call{Effect: es.EffectRef{ID: confirmed, Instance: "placement-confirmed"}},
					events.StockReservationRefused{SKU: "A", ReservationID: "confirmed/9/1", OrderID: "confirmed"})
			}},
		{name: "an answer to no saga", invariant: "I1", words: []string{"is no saga"},
			tell: func(w *world) {
				tell[anyStock](w, "A", es.Call{Effect: es.EffectRef{ID: confirmed, Instance: "shipping-confirmed"}},
					events.StockReservationRefused{SKU: "A", ReservationID: "confirmed/9/1", OrderID: "confirmed"})
			}},
		{name: "a revision is missing", invariant: "I2", words: []string{"order-cancelled@2", "expected 1, found 2"},
			alter: func(log []es.Record) []es.Record {
				i := slices.IndexFunc(log, func(r es.Record) bool { return r.Stream.String() == "order-cancelled" && r.Revision == 1 })
				return slices.Delete(log, i, i+1)
			}},
		{name: "positions go back", invariant: "I2", words: []string{"the position does not follow"},
			alter: func(log []es.Record) []es.Record {
				log[5].Position, log[6].Position = log[6].Position, log[5].Position
				return log
			}},
		{name: "money is held for a rejected order", invariant: "I4", words: []string{"payment-short", "rejected", "expected 0.00 GBP, found 9.00 GBP"},
			tell: func(w *world) {
				tell[anyPayment](w, "short", es.Call{}, events.PaymentAuthorised{OrderID: "short", Attempt: 1, Amount: money(900), Reference: "ch_9"})
			}},
		{name: "too little is held", invariant: "I4", words: []string{"payment-confirmed", "expected 5.00 GBP, found 4.99 GBP"},
			tell: func(w *world) {
				tell[anyPayment](w, "confirmed", es.Call{}, events.PaymentAuthorised{OrderID: "confirmed", Attempt: 1, Amount: money(499), Reference: "ch_1"})
			}},
		{name: "money was recorded on top", invariant: "I4", words: []string{"payment-confirmed", "found 5.01 GBP"},
			tell: func(w *world) {
				tell[anyPayment](w, "confirmed", es.Call{}, events.PaymentRecorded{OrderID: "confirmed", RecordID: "r", Amount: money(1), Method: "cash"})
			}},
		{name: "another currency", invariant: "I4", words: []string{"payment-confirmed", "expected GBP, found EUR"},
			tell: func(w *world) {
				tell[anyPayment](w, "confirmed", es.Call{}, events.PaymentRecorded{OrderID: "confirmed", RecordID: "r", Amount: events.Money{Amount: 1, Currency: "EUR"}})
			}},
		{name: "money of no order", invariant: "I4", words: []string{"payment-nobody", "does not exist"},
			tell: func(w *world) {
				tell[anyPayment](w, "nobody", es.Call{}, events.PaymentRecorded{OrderID: "nobody", RecordID: "r", Amount: money(1)})
			}},
		{name: "a charge is held for a cancelled order", invariant: "I4", words: []string{"payment-cancelled", "charge ch_2", "holding 7.50 GBP"},
			tell: func(w *world) { w.charges[1].Status, w.charges[1].Open = "authorised", 750 }},
		{name: "a charge that the log does not know", invariant: "I4", words: []string{"payment-declined", "charge ch_3", "does not know"},
			tell: func(w *world) {
				w.charges = append(w.charges, charge{ID: "ch_3", OrderID: "declined", Attempt: 1, Status: "authorised", Currency: "GBP", Authorised: 250, Open: 250})
			}},
		{name: "charged twice", invariant: "I4", words: []string{"payment-confirmed", "charged twice"},
			tell: func(w *world) {
				again := w.charges[0]
				again.ID = "ch_3"
				w.charges = append(w.charges, again)
			}},
		{name: "a charge of no order", invariant: "I4", words: []string{"payment-nobody", "does not exist"},
			tell: func(w *world) {
				w.charges = append(w.charges, charge{ID: "ch_3", OrderID: "nobody", Attempt: 1, Status: "authorised", Currency: "GBP", Authorised: 1, Open: 1})
			}},
		{name: "a charge is gone", invariant: "I4", words: []string{"payment-confirmed", "charge ch_1", "does not know"},
			tell: func(w *world) { w.charges = w.charges[1:] }},
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
			tell: func(w *world) {
				tell[anyStock](w, "A", es.Call{}, events.StockReleased{SKU: "A", ReservationID: "confirmed/1/1", OrderID: "confirmed", Quantity: 2})
			}},
		{name: "a reservation of no order", invariant: "I5", words: []string{"stock-A@", "nobody/1/1", "does not exist"},
			tell: func(w *world) {
				tell[anyStock](w, "A", es.Call{}, events.StockReserved{SKU: "A", ReservationID: "nobody/1/1", OrderID: "nobody", Quantity: 1})
			}},
		{name: "more reserved than there is", invariant: "I5", words: []string{"stock-A@", "more is promised than there is"},
			tell: func(w *world) {
				tell[anyStock](w, "A", es.Call{}, events.StockReserved{SKU: "A", ReservationID: "confirmed/2/1", OrderID: "confirmed", Quantity: 99})
			}},
		{name: "released twice", invariant: "I5", words: []string{"stock-A@", "gives more than it holds"},
			tell: func(w *world) {
				tell[anyStock](w, "A", es.Call{}, events.StockReleased{SKU: "A", ReservationID: "confirmed/1/1", OrderID: "confirmed", Quantity: 3})
			}},
		{name: "a wrong count", invariant: "I5", words: []string{"stock-A@", "expected 99, found 98"},
			tell: func(w *world) {
				tell[anyStock](w, "A", es.Call{}, events.StockAdjusted{SKU: "A", Change: -1, OnHand: 98})
			}},
		{name: "an order without its saga", invariant: "I6", words: []string{"order-late@0", "should have started placement-late"},
			tell: func(w *world) {
				tell[anyOrder](w, "late", es.Call{}, events.OrderPlaced{OrderID: "late", Currency: "GBP"})
			}},
		{name: "a saga that stopped half way", invariant: "I6", words: []string{"placement-confirmed@", "it owes confirm order"},
			alter: func(log []es.Record) []es.Record {
				confirms := false
				return slices.DeleteFunc(log, func(r es.Record) bool {
					if r.Stream.String() != "placement-confirmed" || confirms { // what followed was never stored
						return confirms && r.Stream.String() == "placement-confirmed"
					}
					confirms = bytes.Contains(r.Data, []byte(`"kind":"began","step":"confirm order"`))
					return false
				})
			}},
		{name: "a command took effect twice", invariant: "I7", words: []string{"order-other@0", "took effect again"},
			tell: func(w *world) {
				tell[anyOrder](w, "one", es.Call{ID: confirmed}, events.OrderPlaced{OrderID: "one", Recorded: true})
				tell[anyOrder](w, "other", es.Call{ID: confirmed}, events.OrderPlaced{OrderID: "other", Recorded: true})
			}},
		{name: "a command took effect twice in a row", invariant: "I7", words: []string{"stock-A@", "took effect again"},
			tell: func(w *world) {
				for range 2 { // a decider that forgets what it has decided
					e := events.StockReceived{SKU: "A", ReceiptID: es.DerivedID(confirmed, time.Now().UnixNano()).String(), Quantity: 1}
					w.forget(es.StreamID{Category: "stock", Key: "A"}, e, confirmed)
				}
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := shop(t)
			if tt.tell != nil {
				tt.tell(w)
			}
			cfg := w.config()
			if tt.alter != nil {
				cfg = w.alter(tt.alter)
			}
			examineLog(t, cfg, w.charges).finds(t, tt.invariant, tt.words...)
		})
	}
}

func TestAcknowledged(t *testing.T) {
	w := shop(t)
	cfg := w.config()
	log := w.store.All(0)
	placed := log[find(log, "order-confirmed", "order.placed")]
	cfg.Acknowledged = []Acknowledged{{"order-confirmed", 0, placed.Position}}
	if r := examineLog(t, cfg, w.charges); !r.Healthy {
		t.Error(r.Findings)
	}
	for _, gone := range []Acknowledged{{"order-confirmed", 7, 900}, {"order-lost", 0, 900}, {"order-confirmed", 0, placed.Position - 1}} {
		cfg.Acknowledged = []Acknowledged{gone}
		examineLog(t, cfg, w.charges).finds(t, "I1", gone.Stream, "what was acknowledged")
	}
}

// What is under way is counted, and is wrong only when its time is over.
func TestMoving(t *testing.T) {
	w := shop(t)
	tell[anyOrder](w, "late", es.Call{}, events.OrderPlaced{OrderID: "late", Currency: "GBP"})
	cfg := w.config()
	cfg.Settle, cfg.Patience, cfg.Stopped = time.Minute, time.Minute, true
	r := examineLog(t, cfg, w.charges)
	if !r.Healthy || r.AtRest || len(r.Moving) == 0 || r.Checked["orders at rest"] != 4 {
		t.Errorf("healthy %t, at rest %t, moving %v, %v", r.Healthy, r.AtRest, r.Moving, r.Findings)
	}
	cfg.Stopped = false
	cfg.Now = func() time.Time { return time.Now().Add(time.Hour) }
	cfg.Settle, cfg.Patience = time.Nanosecond, time.Minute
	examineLog(t, cfg, w.charges).finds(t, "I6", "order-late@0")
}

func TestStuckIsSaid(t *testing.T) {
	w := shop(t)
	id := es.StreamID{Category: "placement", Key: "confirmed"}
	w.keep(id, machine.Taken{Decisions: []machine.Decision{{Kind: machine.Stuck, Step: "confirm order", Code: "because"}}})
	if r := w.look(); !r.Healthy || len(r.Notes) != 1 {
		t.Errorf("%v, %v", r.Notes, r.Findings)
	}
}

// While a system runs, its ledger and its log are not read at the same moment.
func TestLedgerThatMoves(t *testing.T) {
	w := shop(t)
	h := newHistory(Config{Log: w.store, Catalog: w.catalog, Sagas: w.machines, Partitions: 12, Now: time.Now}, &Report{Breaches: map[string]int{}})
	if err := h.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	later := charge{ID: "ch_9", OrderID: "not yet", Attempt: 1, Status: "authorised", Currency: "GBP", Authorised: 1, Open: 1}
	voided := slices.Clone(w.charges)
	voided[0].Status, voided[0].Open = "voided", 0
	h.compareLedger(ledger{before: w.charges, after: append(voided, later)})
	if len(h.out.Findings) > 0 {
		t.Error(h.out.Findings)
	}
	h.compareLedger(ledger{before: voided, after: append(voided, later)})
	h.out.finds(t, "I4", "charge ch_1", "voided")
}
