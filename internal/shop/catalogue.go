package shop

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/kit/es"
)

// catalogue keeps products folded, for prices. An event of a product drops it, to be folded again when it is next asked
// for. While the log is not being followed nothing is kept.
type catalogue struct {
	handler *es.Handler
	log     es.Log
	logger  *slog.Logger

	mu       sync.Mutex
	live     bool
	products map[string]order.Offer
	epoch    uint64 // rises with every event of a product: what was read before may be stale
}

const maxProducts = 100_000

func newCatalogue(h *es.Handler, log es.Log, logger *slog.Logger) *catalogue {
	return &catalogue{handler: h, log: log, logger: logger, products: map[string]order.Offer{}}
}

// run follows the log from its end. What it missed while it was away cannot matter: it kept nothing then.
func (c *catalogue) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := c.follow(ctx)
		c.reset(false)
		if ctx.Err() != nil {
			break
		}
		c.logger.Warn("products are read from the store until it can be followed again", "error", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return nil //nolint:nilerr // ctx has ended
}

func (c *catalogue) follow(ctx context.Context) error {
	end, err := c.log.End(ctx)
	if err != nil {
		return fmt.Errorf("find the end of the log: %w", err)
	}
	for r, err := range c.log.Follow(ctx, end) {
		if err != nil {
			return fmt.Errorf("follow the products: %w", err)
		}
		switch {
		case r.Position == 0: // as often as the log has been read to its end
			c.caughtUp()
		case r.Stream.Category == "product":
			c.drop(r.Stream.Key)
		}
	}
	return ctx.Err()
}

func (c *catalogue) reset(live bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.live = live
	clear(c.products)
}

// caughtUp begins to keep products, if that has not begun yet.
func (c *catalogue) caughtUp() {
	c.mu.Lock()
	live := c.live
	c.mu.Unlock()
	if !live {
		c.reset(true)
	}
}

func (c *catalogue) drop(sku string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	delete(c.products, sku)
}

// offers gives the products of these SKUs, those unknown left out. fresh reads every one from the store.
func (c *catalogue) offers(ctx context.Context, skus []string, fresh bool) (map[string]order.Offer, error) {
	found := map[string]order.Offer{}
	for _, sku := range skus {
		if _, done := found[sku]; done {
			continue
		}
		o, ok, err := c.offer(ctx, sku, fresh)
		if err != nil {
			return nil, err
		}
		if ok {
			found[sku] = o
		}
	}
	return found, nil
}

func (c *catalogue) offer(ctx context.Context, sku string, fresh bool) (order.Offer, bool, error) {
	c.mu.Lock()
	o, ok := c.products[sku]
	epoch := c.epoch
	c.mu.Unlock()
	if ok && !fresh {
		return o, true, nil
	}
	p, err := es.Load[product.Product](ctx, c.handler, sku, nil)
	if err != nil {
		return o, false, fmt.Errorf("read product %s: %w", sku, err)
	}
	if p.Revision == es.NoStream {
		return o, false, nil
	}
	o = order.Offer{
		Name: p.State.Name, Prices: p.State.Prices, TaxClass: p.State.TaxClass,
		Revision: uint64(p.Revision), Discontinued: p.State.Status == product.Discontinued, //nolint:gosec // not NoStream
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live && c.epoch == epoch {
		if len(c.products) >= maxProducts {
			clear(c.products)
		}
		c.products[sku] = o
	}
	return o, true, nil
}
