package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/saga"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

const partitions = 3

// world is an event store, a database, the domain's commands, and a payment provider that answers by its token. Processes
// come and go in it.
type world struct {
	t       *testing.T
	store   *memory.Store
	catalog *es.Catalog
	handler *es.Handler
	url     string
	pool    *pgxpool.Pool
	sagas   []machine.Machine
	first   map[string]uint64
	uptime  outages
}

// outages says of every partition that it was down for some time, and has caught up to now.
type outages struct {
	down  atomic.Int64
	lasts atomic.Bool // and is down
}

func (o *outages) Down([]int, time.Time) (time.Duration, time.Time) {
	if o.lasts.Load() {
		return 0, time.Time{}
	}
	return time.Duration(o.down.Load()), time.Now()
}

func newWorld(t *testing.T, d sagas.Deadlines) *world {
	t.Helper()
	return newWorldOf(t, sagas.All(d)...)
}

func newWorldOf(t *testing.T, of ...saga.Saga) *world {
	t.Helper()
	c, err := es.NewCatalog(events.Catalog(), machine.Catalog(), deployment.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: memory.New(), catalog: c, url: postgrestest.URL(t)}
	w.handler = es.NewHandler(w.store, c, time.Now)
	if w.sagas, err = machine.Compile(of...); err != nil {
		t.Fatal(err)
	}
	if w.pool, err = pgxpool.New(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.pool.Close)
	w.first, err = Deploy(t.Context(), w.store, w.store, c, w.sagas)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.alone(nil).Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// process is one orchestrator with its feed, until it is killed.
type process struct {
	w    *world
	o    *Orchestrator
	pool *pgxpool.Pool
	ctx  context.Context //nolint:containedctx // of its life
	end  context.CancelFunc
	all  sync.WaitGroup
	dead atomic.Bool
	deaf atomic.Bool // it is fed nothing
	send func(es.Command) error
}

var errDead = errors.New("the process is dead")

// start runs a process that owns the partitions for which it says so, and is fed those.
func (w *world) start(set func(*process, *Config), owns ...int) *process {
	w.t.Helper()
	if len(owns) == 0 {
		owns = []int{0, 1, 2}
	}
	ctx, end := context.WithCancel(w.t.Context())
	p := &process{w: w, ctx: ctx, end: end}
	pc, err := pgxpool.ParseConfig(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	pc.MaxConns = 8
	pc.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) {
		if p.dead.Load() {
			return true, errDead
		}
		return true, nil
	}
	if p.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		w.t.Fatal(err)
	}
	cfg := Config{
		Store: mortalStore{w.store, p}, Handler: mortalSender{w.handler, p}, Catalog: w.catalog, Pool: p.pool, Sagas: w.sagas, First: w.first,
		Partitions: partitions, Incarnation: "memory", Uptime: &w.uptime, Poll: 20 * time.Millisecond, Backoff: 5 * time.Millisecond, Resend: 50 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	}
	if set != nil {
		set(p, &cfg)
	}
	if p.o, err = New(cfg); err == nil {
		err = p.o.Prepare(ctx)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	for _, partition := range owns {
		p.all.Add(2)
		go func() { defer p.all.Done(); p.feed(partition) }()
		go func() { defer p.all.Done(); p.o.Own(ctx, partition) }()
	}
	w.t.Cleanup(p.stop)
	return p
}

// kill is kill -9, as far as one process can do it to a part of itself: nothing it tries from now on takes effect.
func (p *process) kill() {
	p.dead.Store(true)
	p.end()
}

func (p *process) stop() {
	p.end()
	p.all.Wait()
	p.pool.Close()
}

// feed is what a feed does: every event of the partition, in order; after an error from the checkpoint again.
func (p *process) feed(partition int) {
	for p.ctx.Err() == nil {
		at, err := p.o.Checkpoints(p.ctx, []int{partition})
		if err == nil {
			err = p.follow(partition, at[partition])
		}
		if p.ctx.Err() == nil && err != nil && !errors.Is(err, errDead) {
			p.w.t.Logf("partition %d: %v", partition, err)
			time.Sleep(2 * time.Millisecond)
		}
	}
}

func (p *process) follow(partition int, after uint64) error {
	var batch []es.Record
	for r, err := range p.w.store.Follow(p.ctx, after) {
		if err != nil {
			return err
		}
		if r.Position > 0 {
			if topic.PartitionOf(r.Stream.Partition(), partitions) == partition {
				batch = append(batch, r)
			}
			if len(batch) < 100 {
				continue
			}
		}
		if len(batch) == 0 || p.deaf.Load() {
			continue
		}
		if err := p.o.Apply(p.ctx, partition, after, batch); err != nil {
			return err
		}
		after, batch = batch[len(batch)-1].Position, nil
	}
	return nil
}

type mortalStore struct {
	*memory.Store

	p *process
}

func (m mortalStore) Append(ctx context.Context, s es.StreamID, at es.Expected, e []es.Proposed) (uint64, error) {
	if m.p.dead.Load() {
		return 0, errDead
	}
	return m.Store.Append(ctx, s, at, e)
}

func (m mortalStore) Read(ctx context.Context, s es.StreamID, from uint64) iter.Seq2[es.Record, error] {
	if m.p.dead.Load() {
		return func(yield func(es.Record, error) bool) { yield(es.Record{}, errDead) }
	}
	return m.Store.Read(ctx, s, from)
}

type mortalSender struct {
	h *es.Handler
	p *process
}

func (m mortalSender) Send(ctx context.Context, c es.Command, call es.Call) (es.Receipt, error) {
	if m.p.dead.Load() {
		return es.Receipt{}, errDead
	}
	if m.p.send != nil {
		if err := m.p.send(c); err != nil {
			return es.Receipt{}, err
		}
	}
	return m.h.Send(ctx, c, call)
}

// crashAt kills the process at the n-th time it passes a point.
func crashAt(name failpoint.Name, n int64) func(*process, *Config) {
	var passed atomic.Int64
	return func(p *process, c *Config) {
		c.crash = func(at failpoint.Name) {
			if at == name && passed.Add(1) == n {
				p.kill()
			}
		}
	}
}

// provider answers payments as their tokens say, through the reports a reactor would send. It never crashes.
func (w *world) provider() {
	done := make(chan struct{})
	ctx, end := context.WithCancel(w.t.Context())
	go func() {
		defer close(done)
		for r, err := range w.store.Follow(ctx, 0) {
			if err != nil {
				return
			}
			if r.Position > 0 && r.Stream.Category == "payment" {
				if err := w.answer(ctx, r); err != nil && ctx.Err() == nil {
					w.t.Errorf("provider: %v", err)
				}
			}
		}
	}()
	w.t.Cleanup(func() { end(); <-done })
}

func (w *world) answer(ctx context.Context, r es.Record) error {
	rec, err := w.catalog.Open(r)
	if err != nil {
		return err
	}
	report := func(e es.Event) error {
		call := es.Call{ID: es.DerivedID(r.ID, e.EventType()), Effect: rec.Meta.Effect, Actor: es.Actor{ID: "payments", Kind: "service"}}
		_, err := es.Handle(ctx, w.handler, payment.Report{OrderID: r.Stream.Key, Outcome: e}, call)
		return err
	}
	late := func(e es.Event) error { // when the placement no longer waits for it
		go func() {
			if w.timedOut(ctx, r.Stream.Key) {
				_ = report(e)
			}
		}()
		return nil
	}
	switch e := rec.Event.(type) {
	case events.PaymentAuthorisationRequested:
		ok := events.PaymentAuthorised{OrderID: e.OrderID, Attempt: e.Attempt, Amount: e.Amount, Reference: "ch_" + e.OrderID}
		switch string(e.Token.Ciphertext) {
		case "tok_approve", "tok_void_fails_once":
			return report(ok)
		case "tok_decline":
			return report(events.PaymentDeclined{OrderID: e.OrderID, Attempt: e.Attempt, Code: "insufficient_funds"})
		case "tok_late":
			return late(ok)
		case "tok_silent":
			return late(events.PaymentDeclined{OrderID: e.OrderID, Attempt: e.Attempt, Code: "not_found"})
		case "tok_action":
			return report(events.PaymentActionRequired{OrderID: e.OrderID, Attempt: e.Attempt, Reference: "ch_" + e.OrderID})
		}
		return fmt.Errorf("token %q", e.Token.Ciphertext)
	case events.PaymentVoidRequested:
		loaded, err := es.Load[payment.Payment](ctx, w.handler, e.OrderID, nil)
		if err != nil {
			return err
		}
		a := loaded.State.Attempt(e.Attempt)
		if next := a.NextVoid(); next == payment.VoidCall || next == payment.VoidEmpty {
			return report(events.PaymentVoidSucceeded{OrderID: e.OrderID, Attempt: e.Attempt})
		}
	case events.PaymentAuthorised, events.PaymentDeclined: // a void may have waited for it
		loaded, err := es.Load[payment.Payment](ctx, w.handler, r.Stream.Key, nil)
		if err != nil {
			return err
		}
		for _, a := range loaded.State.Attempts {
			if next := a.NextVoid(); next == payment.VoidCall || next == payment.VoidEmpty {
				return report(events.PaymentVoidSucceeded{OrderID: r.Stream.Key, Attempt: a.N})
			}
		}
	}
	return nil
}

// timedOut waits until the timer of an order's placement is in the store. False: ctx ended.
func (w *world) timedOut(ctx context.Context, order string) bool {
	for r, err := range w.store.Follow(ctx, 0) {
		if err != nil {
			return false
		}
		if r.Stream == (es.StreamID{Category: "placement", Key: order}) && w.says(r, "timer_due") > 0 {
			return true
		}
	}
	return false
}

func (w *world) receive(sku string, quantity int) {
	w.t.Helper()
	_, err := es.Handle(w.t.Context(), w.handler, stock.Receive{SKU: sku, ReceiptID: "R-" + sku, Quantity: quantity}, es.Call{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// place puts order.placed into the store, without prices and names.
func (w *world) place(id, token string, skus ...string) {
	w.t.Helper()
	e := events.OrderPlaced{OrderID: id, Currency: "GBP", Total: 500, Payment: events.PaymentMeans{Token: es.Sealed{Subject: "guest-" + id, Ciphertext: []byte(token)}}}
	for i, sku := range skus {
		e.Lines = append(e.Lines, events.OrderLine{Line: i + 1, SKU: sku, Quantity: 1, ReservationID: fmt.Sprintf("%s/%d/1", id, i+1)})
	}
	if err := w.put(es.StreamID{Category: "order", Key: id}, es.NoStream, e); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(s es.StreamID, at es.Expected, e es.Event) error {
	typ, schema, data, err := w.catalog.Encode(e)
	if err != nil {
		return err
	}
	meta, err := json.Marshal(es.Meta{Schema: schema, OccurredAt: es.Micro(time.Now()), Correlation: s.String()})
	if err != nil {
		return err
	}
	id := es.DerivedID(es.UUID{}, s.String(), int64(at))
	_, err = w.store.Append(w.t.Context(), s, at, []es.Proposed{{ID: id, Type: typ, Data: data, Meta: meta}})
	return err
}

func (w *world) cancel(id string) {
	w.t.Helper()
	if _, err := es.Handle(w.t.Context(), w.handler, order.RequestCancel{OrderID: id}, es.Call{}); err != nil {
		w.t.Fatal(err)
	}
}

// await waits until the instance has ended, has nothing due, and Postgres says so.
func (w *world) await(instance string, phase machine.Phase) {
	w.t.Helper()
	w.until(fmt.Sprintf("%s to be %s", instance, phase), func() (bool, string) {
		var have string
		var due *time.Time
		err := w.pool.QueryRow(w.t.Context(), `select phase, due_at from daybook.saga_instance where instance = $1`, instance).Scan(&have, &due)
		return err == nil && machine.Phase(have) == phase && due == nil, fmt.Sprintf("%s %v %v", have, due, err)
	})
}

func (w *world) until(what string, is func() (bool, string)) {
	w.t.Helper()
	deadline := time.Now().Add(3 * time.Minute) // on a busy machine
	for {
		ok, have := is()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("waited for %s; have %s\n%s", what, have, w.history())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (w *world) history() string {
	var out strings.Builder
	all := w.store.All(0)
	for _, r := range all[max(0, len(all)-200):] {
		fmt.Fprintf(&out, "%4d %s@%d %s %s\n", r.Position, r.Stream, r.Revision, r.Type, r.Data)
	}
	return out.String()
}

func (w *world) order(id string) order.Order { return load[order.Order](w, id) }

func load[S any, P es.State[S]](w *world, key string) S {
	w.t.Helper()
	l, err := es.Load[S, P](w.t.Context(), w.handler, key, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return l.State
}
