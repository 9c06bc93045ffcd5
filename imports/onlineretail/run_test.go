package onlineretail

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

const small = Header + `
500001,A,Apple,5,2011-01-01 10:00:00,1.00,1.0,France
500001,P,Pear,2,2011-01-01 10:00:00,2.00,1.0,France
500001,POST,POSTAGE,1,2011-01-01 10:00:00,3.50,1.0,France
500002,A,Apple,4,2011-01-02 10:00:00,1.20,,Germany
C500010,A,Apple,-3,2011-01-05 10:00:00,1.00,1.0,France
`

type world struct {
	t     *testing.T
	store *memory.Store
}

func (w world) handler() *es.Handler {
	w.t.Helper()
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		w.t.Fatal(err)
	}
	return es.NewHandler(w.store, c, time.Now)
}

func (w world) run(file string) (*History, Result) {
	w.t.Helper()
	h, err := Read(strings.NewReader(file))
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := (&Import{Handler: w.handler(), History: h}).Run(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return h, r
}

func (w world) end() uint64 {
	w.t.Helper()
	end, err := w.store.End(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return end
}

func TestRunRecordsOnce(t *testing.T) {
	w := world{t, memory.New()}
	_, first := w.run(small)
	after := w.end()
	if first.Recorded == 0 || first.Repeated != 0 {
		t.Fatalf("first run %+v", first)
	}
	o, err := es.Load[order.Order](t.Context(), w.handler(), "500001", nil)
	if err != nil || o.State.Status != order.Closed || o.State.Lines[0].Returned != 3 || o.State.Placed.Total != 5*100+2*200+350 {
		t.Errorf("order %+v %v", o.State, err)
	}
	if !o.At.Equal(time.Date(2011, 1, 5, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("its business time is %s", o.At)
	}
	a, err := es.Load[stock.Stock](t.Context(), w.handler(), "A", nil)
	if err != nil || a.State.OnHand != 3 || a.State.Reserved != 0 {
		t.Errorf("stock of A %+v %v", a.State, err)
	}
	p, err := es.Load[payment.Payment](t.Context(), w.handler(), "500001", nil)
	if err != nil || p.State.Captured.Amount != 1250 || p.State.Refunded.Amount != 300 {
		t.Errorf("payment %+v %v", p.State, err)
	}
	_, second := w.run(small)
	if second.Recorded != 0 || second.Repeated != first.Recorded || w.end() != after {
		t.Errorf("second run %+v, log from %d to %d", second, after, w.end())
	}
}

// An order that is recorded with other content is left alone, with its stock and its money.
func TestOrderDiffers(t *testing.T) {
	w := world{t, memory.New()}
	w.run(small)
	before := w.end()
	other := strings.Replace(small, "500001,A,Apple,5", "500001,A,Apple,6", 1)
	h, _ := w.run(other)
	if len(h.Rejects) != 4 || h.Rejects[0].Reason != OrderDiffers || h.Rejects[0].Line != 2 || h.Rejects[2].Line != 4 || h.Rejects[3].Line != 6 || len(h.Orders) != 1 {
		t.Errorf("rejects %+v", h.Rejects)
	}
	if detail := h.Rejects[0].Detail; !strings.Contains(detail, "lines[1].quantity: 5 → 6") {
		t.Errorf("the difference is not said: %s", detail)
	}
	for r, err := range w.store.ReadAll(t.Context(), before) {
		if err != nil || r.Type != "stock.received" && r.Stream.Category != "import" { // another file, another receipt
			t.Errorf("recorded %s %s %v", r.Stream, r.Type, err)
		}
	}
}

// A run that stopped anywhere is finished by the next one, to the same end.
func TestStoppedRunGoesOn(t *testing.T) {
	whole := world{t, memory.New()}
	whole.run(small)
	for stop := range 12 {
		w := world{t, memory.New()}
		h, err := Read(strings.NewReader(small))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		im := &Import{Handler: w.handler(), History: h, Streams: 1, Progress: func(done, _ int) {
			if done > stop {
				cancel()
			}
		}}
		if _, err := im.Run(ctx); err == nil && stop < 8 {
			t.Fatalf("stopping after %d did not stop", stop)
		}
		cancel()
		w.run(small)
		if w.end() != whole.end() {
			t.Errorf("stopped after %d: %d events, not %d", stop, w.end(), whole.end())
		}
	}
}

// flaky fails now and then, before or after it has done what it was asked for.
type flaky struct {
	es.Store
	odds *rand.Rand
	mu   sync.Mutex
}

func (f *flaky) fails() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.odds.IntN(8)
}

func (f *flaky) Append(ctx context.Context, s es.StreamID, at es.Expected, events []es.Proposed) (uint64, error) {
	switch f.fails() {
	case 0:
		return 0, es.ErrUnavailable
	case 1:
		_, _ = f.Store.Append(ctx, s, at, events)
		return 0, es.ErrUnknownOutcome
	}
	return f.Store.Append(ctx, s, at, events)
}

func (f *flaky) Read(ctx context.Context, s es.StreamID, from uint64) iter.Seq2[es.Record, error] {
	if f.fails() == 0 {
		return func(yield func(es.Record, error) bool) { yield(es.Record{}, context.DeadlineExceeded) }
	}
	return f.Store.Read(ctx, s, from)
}

// A store that is away, slow or in doubt now and then costs time and nothing else.
func TestTransientFailuresAreTriedAgain(t *testing.T) {
	file := bazaar(150)
	whole := world{t, memory.New()}
	_, want := whole.run(file)
	for seed := range uint64(20) {
		w := world{t, memory.New()}
		h, err := Read(strings.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		handler := es.NewHandler(&flaky{Store: w.store, odds: rand.New(rand.NewPCG(seed, 0))}, w.handler().Catalog(), time.Now) //nolint:gosec // a test
		r, err := (&Import{Handler: handler, History: h, Pause: time.Microsecond, Streams: 4 + int(seed)*8}).Run(t.Context())
		if err != nil || len(h.Rejects) != 0 || len(r.Notes) != 0 || r.Recorded != want.Recorded {
			t.Fatalf("seed %d: %v, %+v, %+v", seed, err, r, h.Rejects)
		}
		if diff := cmp.Diff(whole.streams(), w.streams()); diff != "" {
			t.Fatalf("seed %d: unlike an import that nothing disturbed\n%s", seed, diff)
		}
	}
}

// deadly ends the process at an append: before it is made, or after it and before its answer.
type deadly struct {
	es.Store
	left  atomic.Int64
	after bool
	kill  func()
}

func (d *deadly) Append(ctx context.Context, s es.StreamID, at es.Expected, events []es.Proposed) (uint64, error) {
	left := d.left.Add(-1)
	if left < 0 || left == 0 && !d.after {
		d.kill()
		return 0, es.ErrUnavailable
	}
	position, err := d.Store.Append(ctx, s, at, events)
	if left == 0 {
		d.kill()
		return 0, es.ErrUnknownOutcome
	}
	return position, err
}

// At whichever append an import is killed, the next run brings it to the end of one that was left alone.
func TestKilledAtAnyAppend(t *testing.T) {
	file := bazaar(8)
	whole := world{t, memory.New()}
	whole.run(file)
	want, killed := whole.streams(), 0
	for _, after := range []bool{false, true} {
		for n := int64(1); ; n++ {
			w := world{t, memory.New()}
			h, err := Read(strings.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			ctx, kill := context.WithCancel(t.Context())
			store := &deadly{Store: w.store, after: after, kill: kill}
			store.left.Store(n)
			_, err = (&Import{Handler: es.NewHandler(store, w.handler().Catalog(), time.Now), History: h, Pause: time.Microsecond, Streams: 3}).Run(ctx)
			kill()
			if store.left.Load() > 0 { // it took fewer
				break
			}
			killed++
			if _, ok := errors.AsType[*StoppedError](err); !ok && n > 1 && err != nil {
				t.Fatalf("killed at append %d: %v", n, err)
			}
			w.run(file)
			if diff := cmp.Diff(want, w.streams()); diff != "" {
				t.Fatalf("killed at append %d, after it: %v\n%s", n, after, diff)
			}
		}
	}
	if killed < 40 {
		t.Errorf("it was killed only %d times", killed)
	}
}

// What is recorded otherwise than the file has it is noted, whichever came first.
func TestOthersThatDifferAreNoted(t *testing.T) {
	w := world{t, memory.New()}
	w.run(small)
	other := strings.ReplaceAll(strings.ReplaceAll(small, "France", "Spain"), "Pear", "Pomelo")
	other = strings.NewReplacer("500001", "500003", "500002", "500004").Replace(other)
	_, r := w.run(other)
	if want := []string{`customer 1 is recorded with country "FR", not "ES"`, `product P is recorded with name "Pear", the file has "Pomelo"`}; !slices.Equal(r.Notes, want) {
		t.Errorf("notes %q", r.Notes)
	}
}

// A store that does not come back ends the import, after patience and not before, with what failed and how far it came.
func TestImportStopsWhenNothingGetsDone(t *testing.T) {
	h, err := Read(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	handler := es.NewHandler(away{memory.New()}, (world{t, memory.New()}).handler().Catalog(), time.Now)
	_, err = (&Import{Handler: handler, History: h, Pause: time.Millisecond, Patience: 50 * time.Millisecond}).Run(t.Context())
	stopped, ok := errors.AsType[*StoppedError](err)
	if !ok || stopped.Orders != 0 || stopped.Of != 2 || !errors.Is(err, es.ErrUnavailable) || !strings.Contains(err.Error(), "run it again") {
		t.Errorf("%v", err)
	}
}

type away struct{ es.Store }

func (away) Append(context.Context, es.StreamID, es.Expected, []es.Proposed) (uint64, error) {
	return 0, es.ErrUnavailable
}

// What an aggregate refuses is the affair of its order: the others are recorded, whole.
func TestRefusalsAreRejects(t *testing.T) {
	w := world{t, memory.New()}
	catalog := w.handler().Catalog()
	h, err := Read(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	r, err := (&Import{Handler: es.NewHandler(narrow{w.store}, catalog, time.Now), History: h}).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Orders) != 1 || h.Orders[0].Invoice != "500002" || len(h.Rejects) != 4 || h.Rejects[0].Reason != TooLarge || h.Shipping != 0 {
		t.Errorf("%d orders, rejects %+v", len(h.Orders), h.Rejects)
	}
	p, err := es.Load[payment.Payment](t.Context(), w.handler(), "500002", nil)
	if err != nil || p.State.Captured.Amount != 480 || r.Recorded == 0 {
		t.Errorf("payment %+v %v", p.State, err)
	}
	if p, err := es.Load[payment.Payment](t.Context(), w.handler(), "500001", nil); err != nil || len(p.State.Records) != 0 {
		t.Errorf("payment of a refused order %+v %v", p.State, err)
	}
}

// narrow takes nothing of order 500001.
type narrow struct{ es.Store }

func (n narrow) Append(ctx context.Context, s es.StreamID, at es.Expected, events []es.Proposed) (uint64, error) {
	if s.Category == "order" && s.Key == "500001" {
		return 0, es.ErrTooLarge
	}
	return n.Store.Append(ctx, s, at, events)
}

// Wherever an import is broken off, no more orders than a window are incomplete, and business times are the file's in the end.
func TestBrokenOffImportLeavesAWindow(t *testing.T) {
	var file strings.Builder
	file.WriteString(Header + "\n")
	for i := range 4 * window {
		at := time.Date(2011, 1, 1, 9, i, 0, 0, time.UTC).Format("2006-01-02 15:04:05")
		fmt.Fprintf(&file, "%d,A,Apple,2,%s,1.00,1.0,France\n%d,%s,Pear,1,%s,2.00,1.0,France\n", 500000+i, at, 500000+i, []string{"B", "C"}[i%2], at)
		if i%10 == 9 {
			fmt.Fprintf(&file, "C%d,A,Apple,-1,%s,1.00,1.0,France\n", 500000+i, at)
		}
	}
	for _, part := range []float64{0.05, 0.3, 0.6, 0.9} {
		w := world{t, memory.New()}
		h, err := Read(strings.NewReader(file.String()))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err = (&Import{Handler: w.handler(), History: h, Progress: func(done, of int) {
			if float64(done) > part*float64(of) {
				cancel()
			}
		}}).Run(ctx)
		cancel()
		if _, ok := errors.AsType[*StoppedError](err); !ok || strings.Count(err.Error(), "\n") > 0 {
			t.Fatalf("stopped with %v", err)
		}
		if n := w.incomplete(h); n > window {
			t.Errorf("at %.2f: %d orders are incomplete", part, n)
		}
		whole, second := w.run(file.String())
		if w.incomplete(whole) != 0 || second.Recorded == 0 || second.Repeated == 0 {
			t.Errorf("at %.2f: %d orders are incomplete in the end, %+v", part, w.incomplete(whole), second)
		}
		end := w.end()
		if _, third := w.run(file.String()); third.Recorded != 0 || w.end() != end {
			t.Errorf("third run %+v", third)
		}
		for r, err := range w.store.ReadAll(t.Context(), 0) {
			if err != nil || strings.Contains(string(r.Meta), "statedAt") {
				t.Fatalf("%s: the business time is not the file's: %s %v", r.Stream, r.Meta, err)
			}
		}
	}
}

// incomplete counts the orders that stand without all of their money and stock.
func (w world) incomplete(h *History) (n int) {
	w.t.Helper()
	for _, o := range h.Orders {
		placed, err := es.Load[order.Order](w.t.Context(), w.handler(), o.Invoice, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		paid, err := es.Load[payment.Payment](w.t.Context(), w.handler(), o.Invoice, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		refunds := int64(0)
		for _, lines := range placed.State.Returns {
			for _, l := range lines {
				refunds += l.Refund
			}
		}
		whole := placed.State.Placed.Total == paid.State.Captured.Amount && refunds == paid.State.Refunded.Amount
		for _, l := range placed.State.Placed.Lines {
			s, err := es.Load[stock.Stock](w.t.Context(), w.handler(), l.SKU, nil)
			if err != nil {
				w.t.Fatal(err)
			}
			whole = whole && s.State.Reservations[l.ReservationID].Committed == l.Quantity
		}
		if !whole {
			n++
		}
	}
	return n
}
