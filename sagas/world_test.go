package sagas_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/kit/saga/sagatest"
	"github.com/daybook-dev/daybook/sagas"
)

// world runs the sagas on the real deciders, one random move at a time: commands sent, sent twice, sent and the answer
// lost; events heard in any order and more than once; time passing; a provider that answers late, or says first that it
// does not know; instances thrown away and folded again.
type world struct {
	r        *rand.Rand
	now      time.Time
	store    *memory.Store
	catalog  *es.Catalog
	handler  *es.Handler
	machines []machine.Machine
	runs     map[string]*run
	names    []string // of runs, as begun
	seen     int      // of the log
	charges  map[string]*charge
	asked    []string // keys of charges
	voids    []*void
	orders   []string
	trouble  []string
	patience int // of the buyers
}

// run is an instance: in memory, and as its stream would have it.
type run struct {
	m      machine.Machine
	now    machine.Running
	stored []es.Event
	inbox  []es.Record
	fed    []es.Record
	sent   map[es.UUID]bool
}

// charge is what the provider's ledger says of one authorisation.
type charge struct {
	intent   es.Record
	asked    events.PaymentAuthorisationRequested
	truth    string // approve, decline, change: declined at first
	action   bool
	held     int64
	reported int // outcomes so far
	over     bool
}

type void struct {
	intent   es.Record
	asked    events.PaymentVoidRequested
	failures int
	over     bool
}

var skus = []string{"A", "B"}

func newWorld(seed uint64, c *es.Catalog, machines []machine.Machine) *world {
	w := &world{
		r: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1_800_000_000, 0).UTC(), store: memory.New(), catalog: c,
		machines: machines, runs: map[string]*run{}, charges: map[string]*charge{},
	}
	w.patience = []int{1, 5, 20, 1000}[w.r.IntN(4)]
	w.store.Now = func() time.Time { return w.now }
	w.handler = es.NewHandler(w.store, c, w.store.Now)
	for _, sku := range skus {
		w.must(es.Handle(context.Background(), w.handler, stock.Receive{SKU: sku, ReceiptID: sku, Quantity: 1 + w.r.IntN(8)}, es.Call{}))
	}
	return w
}

func (w *world) failf(format string, args ...any) {
	w.trouble = append(w.trouble, fmt.Sprintf(format, args...))
}

func (w *world) must(_ es.Receipt, err error) {
	if err != nil {
		w.failf("%v", err)
	}
}

func (w *world) place(id string) {
	e := events.OrderPlaced{OrderID: id, Currency: "GBP", Total: int64(w.r.IntN(3)) * 250}
	for i := range 1 + w.r.IntN(3) {
		sku := skus[w.r.IntN(len(skus))]
		e.Lines = append(e.Lines, events.OrderLine{Line: i + 1, SKU: sku, Quantity: 1 + w.r.IntN(2), ReservationID: fmt.Sprintf("%s/%d/1", id, i+1)})
	}
	s := es.StreamID{Category: "order", Key: id}
	typ, schema, data, _ := w.catalog.Encode(e)
	meta, err := json.Marshal(es.Meta{Schema: schema, OccurredAt: w.now})
	if err != nil {
		w.failf("%v", err)
	}
	if _, err := w.store.Append(context.Background(), s, es.NoStream, []es.Proposed{{ID: es.DerivedID(es.UUID{}, id), Type: typ, Data: data, Meta: meta}}); err != nil {
		w.failf("%v", err)
	}
	w.orders = append(w.orders, id)
}

// route puts new events into the inboxes of the instances they concern, as the orchestrator does.
func (w *world) route() {
	log := w.store.All(uint64(w.seen))
	w.seen += len(log)
	for _, rec := range log {
		in, err := machine.HeardOf(w.catalog, rec)
		if err != nil {
			w.failf("%v", err)
			continue
		}
		to := map[string]bool{}
		for _, m := range w.machines {
			id := es.StreamID{Category: m.Name, Key: rec.Stream.Key}
			if n, ok := m.Starts(in.Event); ok {
				if id.N = n; w.runs[id.String()] == nil {
					w.runs[id.String()] = &run{m: m, now: m.New(id), sent: map[es.UUID]bool{}}
					w.names = append(w.names, id.String())
				}
				to[id.String()] = true
			}
			if slices.Contains(m.Named, rec.Type) {
				to[es.StreamID{Category: m.Name, Key: rec.Stream.Key}.String()] = true
			}
			if name := in.Meta.Effect.Instance; strings.HasPrefix(name, m.Name+"-") && slices.Contains(m.Answers, rec.Type) {
				to[name] = true
			}
		}
		for name := range to {
			if run := w.runs[name]; run != nil {
				run.inbox = append(run.inbox, rec)
			}
		}
		w.watch(rec, in)
	}
}

// watch keeps the provider's list of what it is asked, and checks what must hold at every moment.
func (w *world) watch(rec es.Record, in machine.Heard) {
	switch e := in.Event.(type) {
	case events.PaymentAuthorisationRequested:
		if w.charges[e.OrderID] != nil {
			w.failf("%s is charged twice", e.OrderID)
		}
		truth := []string{"approve", "approve", "decline", "change"}[w.r.IntN(4)]
		w.charges[e.OrderID] = &charge{intent: rec, asked: e, truth: truth, action: w.r.IntN(4) == 0}
		w.asked = append(w.asked, e.OrderID)
	case events.PaymentVoidRequested:
		w.voids = append(w.voids, &void{intent: rec, asked: e, failures: w.r.IntN(3)})
	case events.StockReleased:
		p := load[payment.Payment](w, e.OrderID)
		for _, a := range p.Attempts {
			if a.State.Open() || a.Held.Amount > 0 && a.Contradiction == "" {
				w.failf("stock of %s is released while its payment is %s, holding %s", e.OrderID, a.State, a.Held)
			}
		}
	}
}

func load[S any, P es.State[S]](w *world, key string) S {
	l, err := es.Load[S, P](context.Background(), w.handler, key, nil)
	if err != nil {
		w.failf("%v", err)
	}
	return l.State
}

func (w *world) step(name string, in machine.Input) {
	run := w.runs[name]
	if started := len(run.stored) > 0; !started {
		if h, ok := in.(machine.Heard); !ok || h.Event.EventType() != run.m.StartsOn {
			return // its start has not been heard yet: in the orchestrator nothing can overtake it
		}
	}
	if taken, ok := run.now.Step(in, w.now); ok {
		run.stored = append(run.stored, machine.Stepped{Taken: []machine.Taken{taken}})
	}
}

func (w *world) hear(name string, rec es.Record) {
	in, err := machine.HeardOf(w.catalog, rec)
	if err != nil {
		w.failf("%v", err)
		return
	}
	w.step(name, in)
}

// send sends an owed command; the answer is fed at once, or left to the log.
func (w *world) send(name string, f machine.Effect, feed bool) {
	run := w.runs[name]
	receipt, err := w.handler.Send(context.Background(), f.Command, f.Call(run.now.ID()))
	run.sent[f.ID] = true
	switch {
	case es.Rejected(err) != "":
		w.step(name, machine.Answer{Effect: f.ID, Code: es.Rejected(err)})
	case err != nil:
		w.failf("%s of %s: %v", f.Command.CommandType(), name, err)
	case len(receipt.Events) == 0:
		w.step(name, machine.Answer{Effect: f.ID})
	case feed:
		for _, rec := range receipt.Records {
			if slices.Contains(run.m.Answers, rec.Type) {
				w.hear(name, rec)
			}
		}
	}
}

// crash throws an instance away and folds it again.
func (w *world) crash(name string) {
	run := w.runs[name]
	again := run.m.New(run.now.ID())
	for _, e := range run.stored {
		if err := machine.Refold(again, w.catalog, e); err != nil {
			w.failf("%v", err)
		}
	}
	if a, b := sagatest.Owed(run.now), sagatest.Owed(again); a != b {
		w.failf("%s owes, folded again,\n%s\nnot\n%s", name, b, a)
	}
	run.now = again
}

// timers feeds what is due: what the streams waited on hold comes first.
func (w *world) timers(name string) {
	run := w.runs[name]
	for _, t := range run.now.Timers() {
		if t.Due.After(w.now) {
			continue
		}
		for _, at := range t.Streams {
			for rec, err := range w.store.Read(context.Background(), at.Stream, at.From) {
				if err != nil {
					w.failf("%v", err)
					return
				}
				if in, err := machine.HeardOf(w.catalog, rec); err == nil && in.Meta.Effect.ID == at.Effect && slices.Contains(run.m.Answers, rec.Type) {
					w.step(name, in)
				}
			}
		}
		w.step(name, machine.Due{Timer: t.ID})
	}
}

// report is the payment reactor's command.
func (w *world) report(intent es.Record, e es.Event) {
	rec, err := w.catalog.Open(intent)
	if err != nil {
		w.failf("%v", err)
		return
	}
	call := es.Call{ID: es.DerivedID(intent.ID, e, w.now), Effect: rec.Meta.Effect, Actor: es.Actor{ID: "payments", Kind: "service"}}
	if _, err := es.Handle(context.Background(), w.handler, payment.Report{OrderID: intent.Stream.Key, Outcome: e}, call); err != nil {
		w.failf("report %s: %v", e.EventType(), err)
	}
}

// provider makes one charge go on: in the end it reports what happened.
func (w *world) provider(c *charge, settle bool) {
	if c.over {
		return
	}
	c.reported++
	yes := events.PaymentAuthorised{OrderID: c.asked.OrderID, Attempt: c.asked.Attempt, Amount: c.asked.Amount, Reference: "ch_" + c.asked.OrderID}
	no := events.PaymentDeclined{OrderID: c.asked.OrderID, Attempt: c.asked.Attempt, Code: "insufficient_funds"}
	switch {
	case c.action && c.reported == 1:
		w.report(c.intent, events.PaymentActionRequired{OrderID: c.asked.OrderID, Attempt: c.asked.Attempt, Reference: yes.Reference})
	case !settle && c.reported < 3 && w.r.IntN(3) == 0:
		w.report(c.intent, events.PaymentOutcomeUnknown{OrderID: c.asked.OrderID, Attempt: c.asked.Attempt, Operation: events.OperationAuthorise})
	case c.truth == "decline" || c.truth == "change" && c.reported < 5:
		w.report(c.intent, no)
		c.over = c.truth == "decline"
		if c.truth == "change" {
			c.reported = 5
		}
	default: // what was voided meanwhile is not charged any more
		if a := load[payment.Payment](w, c.asked.OrderID).Attempt(c.asked.Attempt); a.State != payment.Voided {
			c.held = c.asked.Amount.Amount
			w.report(c.intent, yes)
		}
		c.over = true
	}
}

// void carries out one void, or lets it fail, once the attempt's own outcome is known.
func (w *world) void(v *void) {
	if v.over {
		return
	}
	a := load[payment.Payment](w, v.asked.OrderID).Attempt(v.asked.Attempt)
	c := w.charges[v.asked.OrderID]
	switch a.NextVoid() {
	case payment.VoidDone:
		v.over = true
	case payment.VoidWait:
	case payment.VoidEmpty:
		w.report(v.intent, events.PaymentVoidSucceeded{OrderID: v.asked.OrderID, Attempt: v.asked.Attempt})
		v.over = true
	case payment.VoidCall:
		v.over = true
		if v.asked.N <= v.failures {
			w.report(v.intent, events.PaymentVoidFailed{OrderID: v.asked.OrderID, Attempt: v.asked.Attempt, N: v.asked.N, Code: "provider_error"})
			return
		}
		c.held = 0
		if a.State.Open() { // at the bank: there will be no charge
			c.over = true
		}
		w.report(v.intent, events.PaymentVoidSucceeded{OrderID: v.asked.OrderID, Attempt: v.asked.Attempt})
	}
}

// atRest checks I4, I5 and I6.
func (w *world) atRest() {
	live := map[string]int{}
	for _, id := range w.orders {
		o := load[order.Order](w, id)
		held := int64(0)
		if c := w.charges[id]; c != nil {
			held = c.held
		}
		var known int64
		for _, a := range load[payment.Payment](w, id).Attempts {
			known += a.Held.Amount
		}
		want := int64(0)
		switch o.Status {
		case order.Confirmed:
			want = o.Placed.Total
			for _, l := range o.Placed.Lines {
				live[l.SKU] += l.Quantity
			}
		case order.Rejected, order.Cancelled:
		case order.None, order.Placed, order.Cancelling, order.Closed:
			w.failf("%s is left %s", id, o.Status)
		}
		if held != want || known != want {
			w.failf("%s is %s; the provider holds %d, the log says %d, it should be %d", id, o.Status, held, known, want)
		}
	}
	for _, sku := range skus {
		if s := load[stock.Stock](w, sku); s.Reserved != live[sku] || s.Reserved > s.OnHand {
			w.failf("%s: %d reserved of %d, live orders have %d", sku, s.Reserved, s.OnHand, live[sku])
		}
	}
	for _, name := range w.names {
		if s := w.runs[name].now.Status(); !s.Phase.Over() {
			w.failf("%s is left %s at %q, stuck %q", name, s.Phase, s.Step, s.Stuck)
		}
	}
}

func (w *world) history() string {
	var b strings.Builder
	for _, r := range w.store.All(0) {
		fmt.Fprintf(&b, "%3d %s@%d %s %s\n", r.Position, r.Stream, r.Revision, r.Type, r.Data)
	}
	for _, name := range w.names {
		fmt.Fprintln(&b, name)
		for _, e := range w.runs[name].stored {
			j, err := json.Marshal(e)
			fmt.Fprintf(&b, "    %s %s %v\n", e.EventType(), j, err)
		}
	}
	return b.String()
}

var deadlines = sagas.Deadlines{}
