package onlineretail

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/commands/customer"
	"github.com/daybook-dev/daybook/commands/importing"
	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

// Import records a history through a handler.
type Import struct {
	Handler *es.Handler
	History *History
	// Streams is how many are written at once at most; default 256: they share the store's syncs.
	Streams int
	// Progress is called with how many commands have been answered, of how many; it must not wait.
	Progress func(done, of int)
	// Pause is the first before what failed is tried again, default 100 ms; Patience, how long it is tried while nothing
	// gets done, default 3 min.
	Pause, Patience time.Duration
	// Hold is how many bytes of folded streams are kept beside the stock of the file's products, default es.DefaultHold.
	Hold int

	flow                            *flow
	done, of, new, refusals, orders atomic.Int64
	moved                           atomic.Int64 // when something was done last
	position                        atomic.Uint64
	mu                              sync.Mutex
	refused                         map[refusalKey]*refusal
	notes                           []string
}

// refusal is an order or a return that could not be recorded.
type refusal struct {
	order, returned string
	err             error
}

type refusalKey struct{ order, returned string }

// Result is what a run came to.
type Result struct {
	Recorded int // events' commands that were new; the others were recorded already
	Repeated int
	Notes    []string // what is recorded otherwise than the file has it, though its lines are recorded
	Position uint64   // of the last event recorded or found: read models that reach it show everything
	Took     time.Duration
}

// StoppedError says how far an import had come. What is recorded is complete but for the last few orders; run again, it goes on.
type StoppedError struct {
	Orders, Of int
	Cause      error
}

func (e *StoppedError) Error() string {
	s := fmt.Sprintf("stopped after %d of %d orders; run it again to go on", e.Orders, e.Of)
	if errors.Is(e.Cause, context.Canceled) {
		return s
	}
	return fmt.Sprintf("%s (%v)", s, e.Cause)
}

func (e *StoppedError) Unwrap() error { return e.Cause }

// Run records everything that is not recorded yet, between an event that says that the import began and one that it ended. What is
// refused becomes a reject of the history. Any other error, a *StoppedError, comes after it has been tried again in vain.
func (im *Import) Run(ctx context.Context) (Result, error) {
	began, h := time.Now(), im.History
	im.flow, im.refused = newFlow(cmp.Or(im.Streams, 256)), map[refusalKey]*refusal{}
	im.moved.Store(began.UnixNano())
	orders := len(h.Orders)
	if err := im.run(ctx); err != nil {
		return Result{}, &StoppedError{int(im.orders.Load()), orders, err}
	}
	recorded := int(im.new.Load())
	slices.Sort(im.notes)
	return Result{recorded, int(im.done.Load()-im.refusals.Load()) - recorded, im.notes, im.position.Load(), time.Since(began)}, nil
}

func (im *Import) run(ctx context.Context) error {
	h := im.History
	if len(h.Orders) == 0 { // nothing but rejects
		return nil
	}
	im.Handler.Hold(cmp.Or(im.Hold, es.DefaultHold) + h.stockBytes())
	steps, products, customers := h.steps(), h.products(), h.customers()
	of := len(products) + len(customers) + 2
	for _, s := range steps {
		of += s.commands()
	}
	im.of.Store(int64(of))
	before, run := im.new.Load(), rand.Text()
	if err := im.mark(ctx, importing.Begin{Run: run, Import: events.ImportBegan{
		ImportID: im.id(), Source: source, Digest: h.Digest, Orders: len(h.Orders), Returns: len(h.Returns), Window: window,
	}}); err != nil {
		return err
	}
	var standing map[string]stock.Stock
	if im.new.Load() == before { // it was begun before, and goes on
		var err error
		if standing, err = im.standing(ctx); err != nil {
			return err
		}
	}
	if err := errors.Join(
		send[product.Product](ctx, im, products, im.otherProduct(ctx)),
		send[customer.Customer](ctx, im, customers, func(c asked[customer.Customer], err error) { im.note("%s", refusal{err: err}.detail()) }),
	); err != nil {
		return err
	}
	if err := im.steps(ctx, steps, standing); err != nil {
		return err
	}
	im.rejectRefused()
	return im.mark(ctx, importing.End{Run: run, Import: events.ImportEnded{ImportID: im.id(), Orders: len(h.Orders), Returns: len(h.Returns), Rejected: len(h.Rejects)}})
}

// stockBytes is about what the folded stock of all products takes, with all that was sold of them. An import goes round in these
// streams: with less than this kept, it would read them again and again, and slow down as they grow. It holds its whole file in memory
// anyway.
func (h *History) stockBytes() int {
	const line, product = 1024, 4096 // reservation, two commands; the stream itself
	lines := 0
	for _, o := range h.Orders {
		lines += len(o.Lines)
	}
	return line*lines + product*len(h.Products)
}

const source = "online-retail"

func (im *Import) id() string     { return source + "-" + im.History.Digest[:12] }
func (im *Import) stream() string { return es.StreamID{Category: "import", Key: im.id()}.String() }

// mark records the begin or the end.
func (im *Import) mark(ctx context.Context, d es.Decision[importing.Import]) error {
	b := byStream[importing.Import]{}
	b.add(time.Time{}, "", d)
	var refused error
	err := send[importing.Import](ctx, im, b, func(_ asked[importing.Import], err error) { refused = err })
	return errors.Join(err, refused)
}

// standing reads the stock that an earlier run left, each stream once.
func (im *Import) standing(ctx context.Context) (map[string]stock.Stock, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(im.flow.most)
	var mu sync.Mutex
	all := map[string]stock.Stock{}
	for _, r := range im.History.Receipts {
		g.Go(func() error {
			l, err := again(ctx, im, func() (es.Loaded[stock.Stock], error) { return es.Load[stock.Stock](ctx, im.Handler, r.SKU, nil) })
			if err != nil {
				return fmt.Errorf("read the stock of %s: %w", r.SKU, err)
			}
			im.reached(l.Position)
			mu.Lock()
			defer mu.Unlock()
			all[r.SKU] = l.State
			return nil
		})
	}
	return all, g.Wait()
}

// otherProduct says where a recorded product differs from the file's.
func (im *Import) otherProduct(ctx context.Context) func(asked[product.Product], error) {
	return func(c asked[product.Product], err error) {
		add, ok := c.decision.(product.Add)
		if es.Rejected(err) != product.Exists || !ok {
			im.note("product %s: %v", c.decision.Key(), err)
			return
		}
		l, err := es.Load[product.Product](ctx, im.Handler, add.SKU, nil)
		if err != nil {
			im.note("product %s is recorded already; it could not be compared: %v", add.SKU, err)
			return
		}
		if l.State.Name != add.Name {
			im.note("product %s is recorded with name %q, the file has %q", add.SKU, l.State.Name, add.Name)
		}
		if was := l.State.Prices[currency]; was != add.Prices[currency] {
			im.note("product %s is recorded with price %d, the file has %d", add.SKU, was, add.Prices[currency])
		}
	}
}

func (im *Import) pause() time.Duration    { return cmp.Or(im.Pause, 100*time.Millisecond) }
func (im *Import) patience() time.Duration { return cmp.Or(im.Patience, patience) }

func (im *Import) progress(n int) {
	if done := im.done.Add(int64(n)); im.Progress != nil {
		im.Progress(int(done), int(im.of.Load()))
	}
}

// skip passes over commands that need not be sent.
func (im *Import) skip(n int) { im.progress(n) }

func (im *Import) reached(position uint64) {
	for {
		before := im.position.Load()
		if position <= before || im.position.CompareAndSwap(before, position) {
			return
		}
	}
}

func (im *Import) note(format string, args ...any) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.notes = append(im.notes, fmt.Sprintf(format, args...))
}

func (im *Import) refuse(r refusal) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.refused[r.key()] = &r
}

func (im *Import) isRecorded(id string) bool {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.refused[refusalKey{id, ""}] == nil
}

// rejectRefused moves what was refused to the rejects, line by line: an order with its returns, or a return alone.
func (im *Import) rejectRefused() {
	h := im.History
	h.Orders = slices.DeleteFunc(h.Orders, func(o Order) bool {
		r := im.refused[refusalKey{o.Invoice, ""}]
		if r == nil {
			return false
		}
		h.rejectAll(o.source(), r.reason(), r.detail())
		h.Shipping -= len(o.postage)
		return true
	})
	h.Returns = slices.DeleteFunc(h.Returns, func(back Return) bool {
		r := cmp.Or(im.refused[refusalKey{back.Order, ""}], im.refused[refusalKey{back.Order, back.CreditInvoice}])
		if r == nil {
			return false
		}
		h.rejectAll(back.source(), r.reason(), r.detail())
		return true
	})
	slices.SortFunc(h.Rejects, func(a, b Reject) int { return a.Line - b.Line })
}
