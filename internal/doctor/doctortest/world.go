// Package doctortest makes logs of the shop, right ones and wrong ones, for tests of what examines them.
package doctortest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	orders "github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

// World is a shop whose sagas and provider run here, one step after another, so that its log is a real one.
type World struct {
	t        testing.TB
	Store    *memory.Store
	Catalog  *es.Catalog
	Handler  *es.Handler
	Machines []machine.Machine
	runs     map[es.StreamID]machine.Running
	next     map[es.StreamID]int64 // events in each instance's stream
	seen     uint64
	Charges  []Charge // the provider's ledger
}

// New is a world without goods and orders.
func New(t testing.TB) *World {
	t.Helper()
	c, err := es.NewCatalog(events.Catalog(), machine.Catalog(), deployment.Catalog(), operation.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	machines, err := machine.Compile(sagas.All(sagas.Deadlines{})...)
	if err != nil {
		t.Fatal(err)
	}
	w := &World{t: t, Store: memory.New(), Catalog: c, Machines: machines, runs: map[es.StreamID]machine.Running{}, next: map[es.StreamID]int64{}}
	w.Handler = es.NewHandler(w.Store, c, time.Now)
	for _, m := range machines {
		w.must(deployment.Begin(t.Context(), w.Store, w.Store, c, m.Name))
	}
	return w
}

func (w *World) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// Stocked receives units of a SKU.
func (w *World) Stocked(sku string, units int) {
	w.t.Helper()
	w.must(es.Handle(w.t.Context(), w.Handler, stock.Receive{SKU: sku, ReceiptID: "r-" + sku, Quantity: units}, es.Call{}))
}

// Place appends an order of some units of A, and lets everything follow from it. It is to be paid with code: "" approves.
func (w *World) Place(id string, units int, decline string) {
	w.t.Helper()
	placed := events.OrderPlaced{
		OrderID: id, Number: "1000001", Customer: events.Buyer{Guest: true}, ShipTo: events.Address{Country: "GB"}, Currency: "GBP", Total: int64(units) * 250, Goods: int64(units) * 250,
		Lines: []events.OrderLine{{Line: 1, SKU: "A", Name: "A thing", Quantity: units, ListPrice: 250, UnitPrice: 250, Total: int64(units) * 250, ReservationID: id + "/1/1"}},
	}
	w.must(es.Handle(w.t.Context(), w.Handler, orders.Place{Order: placed}, es.Call{}))
	w.Settle(decline)
}

// Cancel asks for the cancellation of an order, and lets everything follow from it.
func (w *World) Cancel(id string) {
	w.t.Helper()
	w.must(es.Handle(w.t.Context(), w.Handler, orders.RequestCancel{OrderID: id}, es.Call{}))
	w.Settle("")
}

// Settle routes events and sends what is owed until nothing is.
func (w *World) Settle(decline string) {
	w.t.Helper()
	for {
		log := w.Store.All(w.seen)
		if len(log) == 0 {
			return
		}
		for _, rec := range log {
			w.seen = rec.Position
			in, err := machine.HeardOf(w.Catalog, rec)
			w.must(nil, err)
			w.provider(in.Recorded, decline)
			for _, m := range w.Machines {
				w.hear(m, in)
			}
		}
	}
}

func (w *World) hear(m machine.Machine, in machine.Heard) {
	w.t.Helper()
	to := es.StreamID{Category: m.Name, Key: in.Stream.Key}
	if n, starts := m.Starts(in.Event); starts {
		to.N = n
		if w.runs[to] == nil {
			w.runs[to] = m.New(to)
		}
	}
	if name := in.Meta.Effect.Instance; strings.HasPrefix(name, m.Name+"-") {
		to = es.AnyStreamID(name)
	}
	run := w.runs[to]
	if run == nil || in.Stream.Category == m.Name {
		return
	}
	if taken, ok := run.Step(in, time.Now()); ok {
		w.Keep(to, taken)
	}
	for _, f := range run.Effects() {
		_, err := w.Handler.Send(w.t.Context(), f.Command, f.Call(to))
		w.must(nil, err)
	}
}

// Keep appends what an instance took.
func (w *World) Keep(id es.StreamID, taken machine.Taken) {
	w.t.Helper()
	w.append(id, es.Expected(w.next[id]-1), machine.Stepped{Taken: []machine.Taken{taken}}, es.Meta{}, es.DerivedID(es.UUID{}, id.String(), w.next[id]))
	w.next[id]++
}

// append writes an event as it is given, past every decider.
func (w *World) append(s es.StreamID, at es.Expected, e es.Event, m es.Meta, id es.UUID) {
	w.t.Helper()
	w.must(w.Store.Append(w.t.Context(), s, at, []es.Proposed{w.proposed(e, m, id)}))
}

func (w *World) proposed(e es.Event, m es.Meta, id es.UUID) es.Proposed {
	w.t.Helper()
	typ, schema, data, err := w.Catalog.Encode(e)
	w.must(nil, err)
	m.Schema, m.OccurredAt = schema, es.Micro(time.Now())
	meta, err := json.Marshal(m)
	w.must(nil, err)
	return es.Proposed{ID: id, Type: typ, Data: data, Meta: meta}
}

// Charge is a charge as the simulator's ledger shows it.
type Charge struct {
	ID         string `json:"id"`
	OrderID    string `json:"order_id"`
	EffectID   string `json:"effect_id"`
	Attempt    int    `json:"attempt"`
	Status     string `json:"status"`
	Currency   string `json:"currency"`
	Authorised int64  `json:"authorised"`
	Captured   int64  `json:"captured"`
	Refunded   int64  `json:"refunded"`
	Open       int64  `json:"open"`
}

// Ledger is the URL of a simulator that has the world's charges.
func (w *World) Ledger() string {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		page := w.Charges
		if r.FormValue("after") != "" {
			page = nil
		}
		if err := json.NewEncoder(rw).Encode(map[string]any{"charges": page}); err != nil {
			w.t.Error(err)
		}
	}))
	w.t.Cleanup(s.Close)
	return s.URL
}

// Streams that take every event, as a decider gone wrong would.
type (
	AnyOrder   struct{}
	AnyPayment struct{}
	AnyStock   struct{}
)

func (*AnyOrder) Category() string   { return "order" }
func (*AnyOrder) Evolve(es.Event)    {}
func (*AnyPayment) Category() string { return "payment" }
func (*AnyPayment) Evolve(es.Event)  {}
func (*AnyStock) Category() string   { return "stock" }
func (*AnyStock) Evolve(es.Event)    {}

type records[S any] struct {
	key    string
	events []es.Event
}

func (records[S]) CommandType() string            { return "test.record" }
func (r records[S]) Key() string                  { return r.key }
func (r records[S]) Decide(S) ([]es.Event, error) { return r.events, nil }

// Record appends events by a command that decides nothing.
func Record[S any, P es.State[S]](w *World, key string, call es.Call, all ...es.Event) {
	w.t.Helper()
	w.must(es.Handle[S, P](w.t.Context(), es.NewHandler(w.Store, w.Catalog, time.Now), records[S]{key, all}, call))
}

// provider answers an intent at once, and keeps its ledger.
func (w *World) provider(e es.Recorded, decline string) {
	w.t.Helper()
	report := func(outcome es.Event) {
		c := payment.Report{OrderID: e.Stream.Key, Outcome: outcome}
		w.must(es.Handle(w.t.Context(), w.Handler, c, es.Call{ID: es.DerivedID(e.ID, outcome.EventType()), Effect: e.Meta.Effect}))
	}
	switch p := e.Event.(type) {
	case events.PaymentAuthorisationRequested:
		if decline != "" {
			report(events.PaymentDeclined{OrderID: p.OrderID, Attempt: p.Attempt, Code: decline})
			return
		}
		c := Charge{
			ID: fmt.Sprintf("ch_%d", len(w.Charges)+1), OrderID: p.OrderID, EffectID: e.Meta.Effect.ID.String(), Attempt: p.Attempt,
			Status: "authorised", Currency: p.Amount.Currency, Authorised: p.Amount.Amount, Open: p.Amount.Amount,
		}
		w.Charges = append(w.Charges, c)
		report(events.PaymentAuthorised{OrderID: p.OrderID, Attempt: p.Attempt, Amount: p.Amount, Reference: c.ID})
	case events.PaymentVoidRequested:
		i := slices.IndexFunc(w.Charges, func(c Charge) bool { return c.OrderID == p.OrderID && c.Attempt == p.Attempt })
		if i < 0 {
			report(events.PaymentVoidSucceeded{OrderID: p.OrderID, Attempt: p.Attempt, Amount: events.Money{Currency: "GBP"}})
			return
		}
		held := events.Money{Amount: w.Charges[i].Open, Currency: w.Charges[i].Currency}
		w.Charges[i].Status, w.Charges[i].Open = "voided", 0
		report(events.PaymentVoidSucceeded{OrderID: p.OrderID, Attempt: p.Attempt, Amount: held, Reference: w.Charges[i].ID})
	}
}

// Shop is a world in which one order went each way.
func Shop(t testing.TB) *World {
	t.Helper()
	w := New(t)
	w.Stocked("A", 100)
	w.Place("confirmed", 2, "")
	w.Place("declined", 1, "insufficient_funds")
	w.Place("short", 1000, "")
	w.Place("cancelled", 3, "")
	w.Cancel("cancelled")
	return w
}

type altered struct {
	es.Log

	records []es.Record
}

func (a altered) ReadAll(_ context.Context, after uint64) iter.Seq2[es.Record, error] {
	return func(yield func(es.Record, error) bool) {
		for _, r := range a.records {
			if (after == 0 || r.Position > after) && !yield(r, nil) {
				return
			}
		}
	}
}

func (a altered) End(context.Context) (end uint64, _ error) {
	for _, r := range a.records {
		end = max(end, r.Position)
	}
	return end, nil
}

// Altered is the world's log as change makes it.
func (w *World) Altered(change func([]es.Record) []es.Record) es.Log {
	return w.Log(change(slices.Clone(w.Store.All(0))))
}

// Log is a log of some records.
func (w *World) Log(records []es.Record) es.Log { return altered{w.Store, records} }

// Find is the index of the first record of a type in a stream.
func Find(records []es.Record, stream, typ string) int {
	return slices.IndexFunc(records, func(r es.Record) bool { return r.Stream.String() == stream && r.Type == typ })
}

// Forget appends what a handler without memory would: a command's first event once more.
func (w *World) Forget(s es.StreamID, e es.Event, command es.UUID) {
	w.t.Helper()
	elsewhere := memory.New()
	h := es.NewHandler(elsewhere, w.Catalog, time.Now)
	var r es.Receipt
	var err error
	if s.Category != "stock" {
		w.t.Fatal("stock only")
	}
	r, err = es.Handle(w.t.Context(), h, records[AnyStock]{s.Key, []es.Event{e}}, es.Call{ID: command})
	w.must(r, err)
	at := es.NoStream
	for have, err := range w.Store.Read(w.t.Context(), s, 0) {
		w.must(nil, err)
		at = es.Expected(have.Revision)
	}
	rec := r.Records[0]
	w.must(w.Store.Append(w.t.Context(), s, at, []es.Proposed{{ID: rec.ID, Type: rec.Type, Data: rec.Data, Meta: rec.Meta}}))
}
