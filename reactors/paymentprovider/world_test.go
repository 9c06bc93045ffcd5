package paymentprovider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/embedded/simulator"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/reactor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	kit "github.com/daybook-dev/daybook/kit/reactor"
)

// plain opens what seal sealed: the cipher is internal/personal's matter.
type plain struct{}

func seal(token string) es.Sealed { return es.Sealed{Subject: "guest-o", Ciphertext: []byte(token)} }

func (plain) Unseal(_ context.Context, s es.Sealed) (string, error) {
	if s.Subject == "erased" {
		return "", fmt.Errorf("open: %w", es.ErrErased)
	}
	return string(s.Ciphertext), nil
}

// world is a store, a simulator and a Postgres, on which reactors come and go.
type world struct {
	t     *testing.T
	store *memory.Store
	sim   *simulator.Server
	pool  *pgxpool.Pool
	hook  hooked // between the reactor and the simulator
	logs  *strings.Builder
	logMu sync.Mutex
	cfg   Config
}

// moment is when a hook is asked.
type moment string

const (
	beforeSend moment = "before the call"
	afterSend  moment = "after the call"
)

// hooked is a Provider with a hook around each call that may move money, and a count of them.
type hooked struct {
	Provider

	mu    sync.Mutex
	hook  func(ctx context.Context, m moment, kind string)
	sends map[string]int // by kind
	looks int
}

func (h *hooked) at(ctx context.Context, m moment, kind string) {
	h.mu.Lock()
	hook := h.hook
	if m == beforeSend {
		h.sends[kind]++
	}
	h.mu.Unlock()
	if hook != nil {
		hook(ctx, m, kind)
	}
}

// noAnswer is how long an answer is waited for that does not come, or comes late on purpose. Any other is waited for until it comes.
const noAnswer = 200 * time.Millisecond

func (h *hooked) Authorise(ctx context.Context, r Request) Answer {
	h.at(ctx, beforeSend, "authorise")
	defer h.at(ctx, afterSend, "authorise")
	if strings.HasPrefix(r.Token, "tok_silent") || strings.HasPrefix(r.Token, "tok_slow_") {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, noAnswer)
		defer cancel()
	}
	return h.Provider.Authorise(ctx, r)
}

func (h *hooked) Void(ctx context.Context, r Request) Answer {
	h.at(ctx, beforeSend, "void")
	defer h.at(ctx, afterSend, "void")
	return h.Provider.Void(ctx, r)
}

func (h *hooked) Lookup(ctx context.Context, key string) Answer {
	h.mu.Lock()
	h.looks++
	h.mu.Unlock()
	return h.Provider.Lookup(ctx, key)
}

func (h *hooked) count(kind string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sends[kind]
}

func (h *hooked) set(hook func(context.Context, moment, string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hook = hook
}

func newWorld(t *testing.T) *world {
	t.Helper()
	sim, err := simulator.Start(t.Context(), simulator.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	client, err := NewClient(ClientConfig{URL: sim.URL(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &world{
		t: t, store: memory.New(), sim: sim, pool: postgrestest.New(t), logs: &strings.Builder{},
		hook: hooked{Provider: client, sends: map[string]int{}},
		cfg:  Config{NotFoundAfter: 300 * time.Millisecond, ActionPoll: 10 * time.Millisecond},
	}
}

// Write keeps the logs of every reactor.
func (w *world) Write(b []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.logs.Write(b)
}

func (w *world) handler() *es.Handler {
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		w.t.Fatal(err)
	}
	return es.NewHandler(w.store, c, time.Now)
}

// process is one life of the reactors role.
type process struct {
	ctx   context.Context
	crash context.CancelFunc // at once, in the middle of whatever it is at
	ended sync.WaitGroup
}

const part = 0 // all keys are of one partition here

// run starts the reactors, as a process does: first positions, catching up, live.
func (w *world) run() *process {
	w.t.Helper()
	cfg := w.cfg
	cfg.Provider, cfg.Handler, cfg.Opener, cfg.Logger = &w.hook, w.handler(), plain{}, slog.New(slog.NewTextHandler(w, nil))
	payments, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := reactor.New(reactor.Config{
		Pool: w.pool, Reactors: []kit.Reactor{payments}, Partitions: 1, Incarnation: "memory",
		Begin:      func(context.Context, string) (uint64, error) { return 0, nil },
		BackoffMin: 10 * time.Millisecond, BackoffMost: 80 * time.Millisecond, Poll: 50 * time.Millisecond, Logger: cfg.Logger,
	})
	if err == nil {
		err = e.Prepare(w.t.Context())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	p := &process{}
	p.ctx, p.crash = context.WithCancel(context.Background())
	p.ended.Go(func() { e.Own(p.ctx, part) })
	p.ended.Go(func() {
		for p.ctx.Err() == nil {
			if err := w.feed(p.ctx, e); err != nil && !errors.Is(err, feed.ErrFenced) && p.ctx.Err() == nil {
				w.t.Errorf("apply: %v", err)
				return
			}
		}
	})
	w.t.Cleanup(p.stop)
	return p
}

// feed gives every event to the reactors, as a feed does: one that is fenced looks up again where they are. A process that was stopped
// may have sent a commit to Postgres, which is carried out after the next process has looked.
func (w *world) feed(ctx context.Context, e *reactor.Engine) error {
	at, err := e.Checkpoints(ctx, []int{part})
	if err != nil {
		return err
	}
	after := at[part]
	for r, err := range w.store.Follow(ctx, after) {
		if err != nil {
			return err
		}
		if r.Position == 0 {
			continue
		}
		if err := e.Apply(ctx, part, after, []es.Record{r}); err != nil {
			return err
		}
		after = r.Position
	}
	return nil
}

func (p *process) stop() {
	p.crash()
	p.ended.Wait()
}

func effect(order, step string, attempt int, d es.Direction) es.EffectRef {
	return es.EffectRef{ID: es.EffectID("placement-"+order, step, "", attempt, d), Instance: "placement-" + order}
}

const asked = 2993

// authorise asks for the money as the placement saga does.
func (w *world) authorise(order, token string) es.EffectRef {
	return w.authoriseSealed(order, seal(token))
}

func (w *world) authoriseSealed(order string, token es.Sealed) es.EffectRef {
	w.t.Helper()
	ref := effect(order, "authorise payment", 1, es.Do)
	c := payment.Authorise{OrderID: order, Attempt: 1, Amount: events.Money{Amount: asked, Currency: "GBP"}, Token: token}
	w.send(c, ref)
	return ref
}

func (w *world) void(order string, n int) es.EffectRef {
	w.t.Helper()
	ref := effect(order, "authorise payment", n, es.Undo)
	w.send(payment.Void{OrderID: order, Attempt: 1}, ref)
	return ref
}

func (w *world) send(c es.Decision[payment.Payment], ref es.EffectRef) {
	w.t.Helper()
	_, err := es.Handle[payment.Payment](w.t.Context(), w.handler(), c, es.Call{
		ID: ref.ID, Effect: ref, Actor: es.Actor{ID: "placement", Kind: "saga"}, Correlation: "order-x",
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// history gives the payment of an order, and its events.
func (w *world) history(order string) (payment.Payment, []es.Recorded) {
	w.t.Helper()
	var all []es.Recorded
	p, err := es.Load[payment.Payment](w.t.Context(), w.handler(), order, func(r es.Recorded) bool { all = append(all, r); return false })
	if err != nil {
		w.t.Fatal(err)
	}
	return p.State, all
}

// types is the types of the events after the first n, without the category.
func types(all []es.Recorded) (out []string) {
	for _, r := range all {
		out = append(out, strings.TrimPrefix(r.Event.EventType(), "payment."))
	}
	return out
}

func (w *world) until(what, order string, is func(payment.Attempt) bool) payment.Attempt {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		p, all := w.history(order)
		if is(p.Attempt(1)) {
			return p.Attempt(1)
		}
		if time.Now().After(end) {
			w.t.Fatalf("%s: never %s; it is %+v after %v\n%s", order, what, p.Attempt(1), types(all), w.logs)
		}
	}
}

func inState(s payment.State) func(payment.Attempt) bool {
	return func(a payment.Attempt) bool { return a.State == s }
}

func voided(a payment.Attempt) bool { return a.Void == payment.VoidSucceeded }

// rest waits until no intent is open.
func (w *world) rest() {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); w.open() > 0; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%d intents stay open\n%s", w.open(), w.logs)
		}
	}
}

func (w *world) open() (n int) {
	w.t.Helper()
	err := w.pool.QueryRow(w.t.Context(), "select count(*) from daybook.reactor_waiting where memo->'watch_from' is null").Scan(&n)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// ledger is what the provider says of an order.
func (w *world) ledger(order string) []simulator.Entry {
	w.t.Helper()
	res, err := http.Get(w.sim.URL() + "/simulator/v1/charges?order=" + order)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct{ Charges []simulator.Entry }
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		w.t.Fatal(err)
	}
	return out.Charges
}

// agrees is I4 for an order at rest: what the payment holds is what the ledger holds, by reference, both ways, and no card
// was charged twice.
func (w *world) agrees(order string) {
	w.t.Helper()
	p, all := w.history(order)
	a := p.Attempt(1)
	var open int64
	charges := w.ledger(order)
	for _, c := range charges {
		open += c.Open
		if c.Open > 0 && c.ID != a.Reference {
			w.t.Errorf("%s: charge %s holds %d, and the payment knows %q", order, c.ID, c.Open, a.Reference)
		}
	}
	held := int64(0)
	if a.State == payment.Authorised || a.Held.Amount > 0 {
		held = a.Held.Amount
	}
	if open != held || len(charges) > 1 {
		w.t.Errorf("%s: the ledger holds %d in %d charges, the payment %d (%s)", order, open, len(charges), held, a.State)
	}
	type report struct {
		effect es.UUID
		what   string
	}
	before := map[report]bool{}
	for _, r := range all {
		this := report{r.Meta.Effect.ID, r.Event.EventType()} // a charge and its void may both be answered late
		if before[this] && a.Voids < 2 {
			w.t.Errorf("%s: %s was recorded twice: %v", order, this.what, types(all))
		}
		before[this] = true
		if r.Meta.Effect.ID.IsZero() {
			w.t.Errorf("%s: %s answers no effect", order, r.Event.EventType())
		}
	}
}
