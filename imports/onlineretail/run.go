package onlineretail

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/commands/customer"
	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/internal/es"
)

// Import records a history through a handler.
type Import struct {
	Handler *es.Handler
	History *History
	// Streams is how many are written at once; default 256: they share the store's syncs.
	Streams int
	// Progress is told how many commands have been answered, of how many; it must not wait.
	Progress func(done, of int)

	done, of, recorded atomic.Int64
	position           atomic.Uint64
	mu                 sync.Mutex
	differs            map[string]string // order → why
}

// Result is what a run came to.
type Result struct {
	Recorded int // events' commands that were new; the others stood already
	Repeated int
	Position uint64 // of the last event recorded or found: read models that reach it show everything
	Took     time.Duration
}

// Run records everything that does not stand yet. Orders that stand with other content become rejects of the history, with
// their stock and money left alone. Any other error stops the import; run again, it goes on.
func (im *Import) Run(ctx context.Context) (Result, error) {
	began, h := time.Now(), im.History
	im.differs = map[string]string{}
	products, customers, orders := h.products(), h.customers(), h.orders()
	all := func(string) bool { return true }
	im.of.Store(int64(count(products) + count(customers) + count(orders) + count(h.returns(all)) + count(h.payments(all)) + count(h.stocks(all))))
	if err := errors.Join(
		send[product.Product](ctx, im, products, im.exists(product.Exists)),
		send[customer.Customer](ctx, im, customers, nil),
		send[order.Order](ctx, im, orders, im.otherOrder),
	); err != nil {
		return Result{}, err
	}
	if err := errors.Join(
		send[order.Order](ctx, im, h.returns(im.stands), im.otherOrder),
		send[stock.Stock](ctx, im, h.stocks(im.stands), nil),
		send[payment.Payment](ctx, im, h.payments(im.stands), nil),
	); err != nil {
		return Result{}, err
	}
	im.rejectOthers()
	recorded := int(im.recorded.Load())
	return Result{recorded, int(im.done.Load()) - recorded, im.position.Load(), time.Since(began)}, nil
}

func count[S any](b byStream[S]) (n int) {
	for _, commands := range b {
		n += len(commands)
	}
	return n
}

// refused says whether a refusal of a command of an order is no reason to stop.
type refused func(order string, r *es.Rejection) bool

// send handles the commands of each stream together, many streams at once.
func send[S any, P es.State[S]](ctx context.Context, im *Import, streams byStream[S], fine refused) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(im.Streams, 1))
	if im.Streams == 0 {
		g.SetLimit(256)
	}
	for _, key := range slices.Sorted(maps.Keys(streams)) {
		g.Go(func() error { return one[S, P](ctx, im, key, streams[key], fine) })
	}
	return g.Wait()
}

func one[S any, P es.State[S]](ctx context.Context, im *Import, key string, commands []asked[S], fine refused) error {
	stream := es.StreamID{Category: P(nil).Category(), Key: key}.String()
	batch := make([]es.Asked[S], len(commands))
	for i, c := range commands {
		batch[i] = es.Asked[S]{Decision: c.decision, Call: c.call(stream)}
	}
	outcomes, err := es.HandleAll[S, P](ctx, im.Handler, batch)
	if err != nil {
		return fmt.Errorf("record %s: %w", stream, err)
	}
	for i, o := range outcomes {
		if r, ok := errors.AsType[*es.Rejection](o.Err); ok && fine != nil && fine(commands[i].order, r) {
			o.Err = nil
		}
		if o.Err != nil {
			return fmt.Errorf("record %s on %s: %w", commands[i].decision.CommandType(), stream, o.Err)
		}
		if len(o.Receipt.Records) > 0 {
			im.recorded.Add(1)
		}
		im.reached(o.Receipt.Position)
	}
	if done := im.done.Add(int64(len(outcomes))); im.Progress != nil {
		im.Progress(int(done), int(im.of.Load()))
	}
	return nil
}

func (im *Import) reached(position uint64) {
	for {
		before := im.position.Load()
		if position <= before || im.position.CompareAndSwap(before, position) {
			return
		}
	}
}

// exists lets a product stand that somebody added before, at its own name and price.
func (im *Import) exists(code es.Code) refused {
	return func(_ string, r *es.Rejection) bool { return r.Code == code }
}

func (im *Import) otherOrder(id string, r *es.Rejection) bool {
	if r.Code != order.Differs && r.Code != order.ReturnDiffers {
		return false
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.differs[id] == "" {
		im.differs[id] = r.Message
	}
	return true
}

func (im *Import) stands(id string) bool {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.differs[id] == ""
}

// rejectOthers moves the orders that stand with other content to the rejects, line by line.
func (im *Import) rejectOthers() {
	h := im.History
	h.Orders = slices.DeleteFunc(h.Orders, func(o Order) bool {
		why := im.differs[o.Invoice]
		if why == "" {
			return false
		}
		for _, l := range o.Lines {
			h.Rejects = append(h.Rejects, Reject{l.Source, OrderDiffers, why, l.text})
		}
		return true
	})
	h.Returns = slices.DeleteFunc(h.Returns, func(r Return) bool {
		if im.differs[r.Order] == "" {
			return false
		}
		for _, l := range r.Lines {
			h.Rejects = append(h.Rejects, Reject{l.Source, OrderDiffers, im.differs[r.Order], l.text})
		}
		return true
	})
	slices.SortFunc(h.Rejects, func(a, b Reject) int { return a.Line - b.Line })
}
