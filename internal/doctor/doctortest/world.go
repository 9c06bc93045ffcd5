package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	orders "github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

// world is a shop whose sagas and provider run here, one step after another, so that its log is a real one.
type world struct {
	t        testing.TB
	store    *memory.Store
	catalog  *es.Catalog
	handler  *es.Handler
	machines []machine.Machine
	runs     map[es.StreamID]machine.Running
	next     map[es.StreamID]int64 // events in each instance's stream
	seen     uint64
	charges  []charge
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c, err := es.NewCatalog(events.Catalog(), machine.Catalog(), deployment.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	machines, err := machine.Compile(sagas.All(sagas.Deadlines{})...)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: memory.New(), catalog: c, machines: machines, runs: map[es.StreamID]machine.Running{}, next: map[es.StreamID]int64{}}
	w.handler = es.NewHandler(w.store, c, time.Now)
	for _, m := range machines {
		w.must(deployment.Begin(t.Context(), w.store, w.store, c, m.Name))
	}
	return w
}

func (w *world) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stocked(sku string, units int) {
	w.t.Helper()
	w.must(es.Handle(w.t.Context(), w.handler, stock.Receive{SKU: sku, ReceiptID: "r-" + sku, Quantity: units}, es.Call{}))
}

// place appends an order of some units of A, and lets everything follow from it. It is to be paid with code: "" approves.
func (w *world) place(id string, units int, decline string) {
	w.t.Helper()
	placed := events.OrderPlaced{
		OrderID: id, Number: "1000001", Customer: events.Buyer{Guest: true}, ShipTo: events.Address{Country: "GB"}, Currency: "GBP", Total: int64(units) * 250, Goods: int64(units) * 250,
		Lines: []events.OrderLine{{Line: 1, SKU: "A", Name: "A thing", Quantity: units, ListPrice: 250, UnitPrice: 250, Total: int64(units) * 250, ReservationID: id + "/1/1"}},
	}
	w.must(es.Handle(w.t.Context(), w.handler, orders.Place{Order: placed}, es.Call{}))
	w.settle(decline)
}

func (w *world) cancel(id string) {
	w.t.Helper()
	w.must(es.Handle(w.t.Context(), w.handler, orders.RequestCancel{OrderID: id}, es.Call{}))
	w.settle("")
}

// settle routes events and sends what is owed until nothing is.
func (w *world) settle(decline string) {
	w.t.Helper()
	for {
		log := w.store.All(w.seen)
		if len(log) == 0 {
			return
		}
		for _, rec := range log {
			w.seen = rec.Position
			in, err := machine.HeardOf(w.catalog, rec)
			w.must(nil, err)
			w.provider(in.Recorded, decline)
			for _, m := range w.machines {
				w.hear(m, in)
			}
		}
	}
}

func (w *world) hear(m machine.Machine, in machine.Heard) {
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
		w.keep(to, taken)
	}
	for _, f := range run.Effects() {
		_, err := w.handler.Send(w.t.Context(), f.Command, f.Call(to))
		w.must(nil, err)
	}
}

// keep appends what an instance took.
func (w *world) keep(id es.StreamID, taken machine.Taken) {
	w.t.Helper()
	w.append(id, es.Expected(w.next[id]-1), machine.Stepped{Taken: []machine.Taken{taken}}, es.Meta{}, es.DerivedID(es.UUID{}, id.String(), w.next[id]))
	w.next[id]++
}

// append writes an event as it is given, past every decider.
func (w *world) append(s es.StreamID, at es.Expected, e es.Event, m es.Meta, id es.UUID) {
	w.t.Helper()
	w.must(w.store.Append(w.t.Context(), s, at, []es.Proposed{w.proposed(e, m, id)}))
}

func (w *world) proposed(e es.Event, m es.Meta, id es.UUID) es.Proposed {
	w.t.Helper()
	typ, schema, data, err := w.catalog.Encode(e)
	w.must(nil, err)
	m.Schema, m.OccurredAt = schema, es.Micro(time.Now())
	meta, err := json.Marshal(m)
	w.must(nil, err)
	return es.Proposed{ID: id, Type: typ, Data: data, Meta: meta}
}

// Streams that take every event, as a decider gone wrong would.
type (
	anyOrder   struct{}
	anyPayment struct{}
	anyStock   struct{}
)

func (*anyOrder) Category() string   { return "order" }
func (*anyOrder) Evolve(es.Event)    {}
func (*anyPayment) Category() string { return "payment" }
func (*anyPayment) Evolve(es.Event)  {}
func (*anyStock) Category() string   { return "stock" }
func (*anyStock) Evolve(es.Event)    {}

type says[S any] struct {
	key  string
	told []es.Event
}

func (says[S]) CommandType() string            { return "test.tell" }
func (s says[S]) Key() string                  { return s.key }
func (s says[S]) Decide(S) ([]es.Event, error) { return s.told, nil }
func tell[S any, P es.State[S]](w *world, key string, call es.Call, told ...es.Event) {
	w.t.Helper()
	w.must(es.Handle[S, P](w.t.Context(), es.NewHandler(w.store, w.catalog, time.Now), says[S]{key, told}, call))
}

// provider answers an intent at once, and keeps its ledger.
func (w *world) provider(e es.Recorded, decline string) {
	w.t.Helper()
	report := func(outcome es.Event) {
		c := payment.Report{OrderID: e.Stream.Key, Outcome: outcome}
		w.must(es.Handle(w.t.Context(), w.handler, c, es.Call{ID: es.DerivedID(e.ID, outcome.EventType()), Effect: e.Meta.Effect}))
	}
	switch p := e.Event.(type) {
	case events.PaymentAuthorisationRequested:
		if decline != "" {
			report(events.PaymentDeclined{OrderID: p.OrderID, Attempt: p.Attempt, Code: decline})
			return
		}
		c := charge{
			ID: fmt.Sprintf("ch_%d", len(w.charges)+1), OrderID: p.OrderID, EffectID: e.Meta.Effect.ID.String(), Attempt: p.Attempt,
			Status: "authorised", Currency: p.Amount.Currency, Authorised: p.Amount.Amount, Open: p.Amount.Amount,
		}
		w.charges = append(w.charges, c)
		report(events.PaymentAuthorised{OrderID: p.OrderID, Attempt: p.Attempt, Amount: p.Amount, Reference: c.ID})
	case events.PaymentVoidRequested:
		i := slices.IndexFunc(w.charges, func(c charge) bool { return c.OrderID == p.OrderID && c.Attempt == p.Attempt })
		if i < 0 {
			report(events.PaymentVoidSucceeded{OrderID: p.OrderID, Attempt: p.Attempt, Amount: events.Money{Currency: "GBP"}})
			return
		}
		held := events.Money{Amount: w.charges[i].Open, Currency: w.charges[i].Currency}
		w.charges[i].Status, w.charges[i].Open = "voided", 0
		report(events.PaymentVoidSucceeded{OrderID: p.OrderID, Attempt: p.Attempt, Amount: held, Reference: w.charges[i].ID})
	}
}

// shop is a world in which one order went each way.
func shop(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.stocked("A", 100)
	w.place("confirmed", 2, "")
	w.place("declined", 1, "insufficient_funds")
	w.place("short", 1000, "")
	w.place("cancelled", 3, "")
	w.cancel("cancelled")
	return w
}

func (w *world) config() Config {
	return Config{Log: w.store, Catalog: w.catalog, Sagas: w.machines, Settle: time.Nanosecond, Patience: time.Nanosecond}
}

// look examines the world's log, and its ledger.
func (w *world) look() *Report {
	w.t.Helper()
	return examineLog(w.t, w.config(), w.charges)
}

func examineLog(t testing.TB, cfg Config, charges []charge) *Report {
	t.Helper()
	r, err := Examine(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Partitions, cfg.Now = 12, time.Now
	h := newHistory(cfg, &Report{Checked: map[string]int{}, Breaches: map[string]int{}})
	if err := h.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.out = r
	h.compareLedger(ledger{charges, charges})
	return r
}

// finds expects a finding of an invariant that says all of some words, and none of any other invariant but those allowed.
func (r *Report) finds(t testing.TB, invariant string, words ...string) {
	t.Helper()
	for _, f := range r.Findings {
		text, all := f.String(), f.Invariant == invariant
		for _, w := range words {
			all = all && strings.Contains(text, w)
		}
		if all {
			return
		}
	}
	t.Errorf("no finding of %s says %q; there are %v", invariant, words, r.Findings)
}

// altered is a log of which some records were changed.
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

// alter gives the world's log as change makes it.
func (w *world) alter(change func([]es.Record) []es.Record) Config {
	cfg := w.config()
	cfg.Log = altered{w.store, change(slices.Clone(w.store.All(0)))}
	return cfg
}

// find is the index of the first record of a type in a stream.
func find(records []es.Record, stream, typ string) int {
	return slices.IndexFunc(records, func(r es.Record) bool { return r.Stream.String() == stream && r.Type == typ })
}

// forget appends what a handler without memory would: a command's first event once more.
func (w *world) forget(s es.StreamID, e es.Event, command es.UUID) {
	w.t.Helper()
	elsewhere := memory.New()
	h := es.NewHandler(elsewhere, w.catalog, time.Now)
	var r es.Receipt
	var err error
	if s.Category != "stock" {
		w.t.Fatal("stock only")
	}
	r, err = es.Handle(w.t.Context(), h, says[anyStock]{s.Key, []es.Event{e}}, es.Call{ID: command})
	w.must(r, err)
	at := es.NoStream
	for have, err := range w.store.Read(w.t.Context(), s, 0) {
		w.must(nil, err)
		at = es.Expected(have.Revision)
	}
	rec := r.Records[0]
	w.must(w.store.Append(w.t.Context(), s, at, []es.Proposed{{ID: rec.ID, Type: rec.Type, Data: rec.Data, Meta: rec.Meta}}))
}
