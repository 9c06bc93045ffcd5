package doctor

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/doctor/doctortest"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

func TestAllIsWell(t *testing.T) {
	w := doctortest.Shop(t)
	r := look(t, config(w))
	for _, f := range r.Findings {
		t.Error(f)
	}
	if !r.Healthy || !r.AtRest || len(r.Breaches) > 0 {
		t.Errorf("healthy %t, at rest %t, %v", r.Healthy, r.AtRest, r.Breaches)
	}
	if r.Checked["sagas ended"] != 5 || r.Checked["answers to sagas"] < 20 {
		t.Errorf("looked at %v", r.Checked)
	}
}

// A log as it must never be, and what is found.
func TestBrokenLogs(t *testing.T) {
	confirmed := es.CommandID("somebody", "placeOrder", "orders", "key")
	for _, tt := range []struct {
		name, invariant string
		words           []string
		alter           func([]es.Record) []es.Record // of the log as it is read
		tell            func(*doctortest.World)       // before it is read
	}{
		{name: "an event is recorded twice", invariant: "I1", words: []string{"order-confirmed@", "is recorded a second time"},
			alter: func(log []es.Record) []es.Record {
				again := log[doctortest.Find(log, "order-confirmed", "order.confirmed")]
				again.Revision, again.Position = again.Revision+1, log[len(log)-1].Position+1
				return append(log, again)
			}},
		{name: "an event without a command", invariant: "I1", words: []string{"stock-A@0", "belongs to no command"},
			alter: func(log []es.Record) []es.Record {
				i := doctortest.Find(log, "stock-A", "stock.received")
				log[i].Meta = []byte(`{"schema":1}`)
				return log
			}},
		{name: "an event was edited", invariant: "I1", words: []string{"stock-A@0", "its id is not the one"},
			alter: func(log []es.Record) []es.Record {
				i := doctortest.Find(log, "stock-A", "stock.received")
				log[i].Data = []byte(`{"sku":"A","location":"main","receipt_id":"r-A","quantity":101}`)
				return log
			}},
		{name: "an answer without a question", invariant: "I1", words: []string{"stock-A@", "never asked for"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyStock](w, "A", es.Call{Effect: es.EffectRef{ID: confirmed, Instance: "placement-confirmed"}},
					events.StockReservationRefused{SKU: "A", ReservationID: "confirmed/9/1", OrderID: "confirmed"})
			}},
		{name: "an answer to no saga", invariant: "I1", words: []string{"is no saga"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyStock](w, "A", es.Call{Effect: es.EffectRef{ID: confirmed, Instance: "shipping-confirmed"}},
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
		{name: "an order without its saga", invariant: "I6", words: []string{"order-late@0", "should have started placement-late"},
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyOrder](w, "late", es.Call{}, events.OrderPlaced{OrderID: "late", Currency: "GBP"})
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
			tell: func(w *doctortest.World) {
				doctortest.Record[doctortest.AnyOrder](w, "one", es.Call{ID: confirmed}, events.OrderPlaced{OrderID: "one", Recorded: true})
				doctortest.Record[doctortest.AnyOrder](w, "other", es.Call{ID: confirmed}, events.OrderPlaced{OrderID: "other", Recorded: true})
			}},
		{name: "a command took effect twice in a row", invariant: "I7", words: []string{"stock-A@", "took effect again"},
			tell: func(w *doctortest.World) {
				for range 2 { // a decider that forgets what it has decided
					e := events.StockReceived{SKU: "A", ReceiptID: es.DerivedID(confirmed, time.Now().UnixNano()).String(), Quantity: 1}
					w.Forget(es.StreamID{Category: "stock", Key: "A"}, e, confirmed)
				}
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := doctortest.Shop(t)
			if tt.tell != nil {
				tt.tell(w)
			}
			cfg := config(w)
			if tt.alter != nil {
				cfg.Log = w.Altered(tt.alter)
			}
			finds(t, look(t, cfg), tt.invariant, tt.words...)
		})
	}
}

func TestAcknowledged(t *testing.T) {
	w := doctortest.Shop(t)
	cfg := config(w)
	log := w.Store.All(0)
	placed := log[doctortest.Find(log, "order-confirmed", "order.placed")]
	cfg.Acknowledged = []doctor.Acknowledged{{Stream: "order-confirmed", Position: placed.Position}}
	if r := look(t, cfg); !r.Healthy {
		t.Error(r.Findings)
	}
	for _, gone := range []doctor.Acknowledged{
		{Stream: "order-confirmed", Revision: 7, Position: 900}, {Stream: "order-lost", Position: 900}, {Stream: "order-confirmed", Position: placed.Position - 1},
	} {
		cfg.Acknowledged = []doctor.Acknowledged{gone}
		finds(t, look(t, cfg), "I1", gone.Stream, "what was acknowledged")
	}
}

// What is under way is counted, and is wrong only when its time is over.
func TestMoving(t *testing.T) {
	w := doctortest.Shop(t)
	doctortest.Record[doctortest.AnyOrder](w, "late", es.Call{}, events.OrderPlaced{OrderID: "late", Currency: "GBP"})
	cfg := config(w)
	cfg.Settle, cfg.Patience, cfg.Stopped = time.Minute, time.Minute, true
	r := look(t, cfg)
	if !r.Healthy || r.AtRest || len(r.Moving) == 0 {
		t.Errorf("healthy %t, at rest %t, moving %v, %v", r.Healthy, r.AtRest, r.Moving, r.Findings)
	}
	cfg.Stopped = false
	cfg.Now = func() time.Time { return time.Now().Add(time.Hour) }
	cfg.Settle, cfg.Patience = time.Nanosecond, time.Minute
	finds(t, look(t, cfg), "I6", "order-late@0")
}

func TestStuckIsSaid(t *testing.T) {
	w := doctortest.Shop(t)
	id := es.StreamID{Category: "placement", Key: "confirmed"}
	w.Keep(id, machine.Taken{Decisions: []machine.Decision{{Kind: machine.Stuck, Step: "confirm order", Code: "because"}}})
	if r := look(t, config(w)); !r.Healthy || len(r.Notes) != 1 {
		t.Errorf("%v, %v", r.Notes, r.Findings)
	}
}
