package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/kit/es"
)

// hot: what sagas do. 64 of them reserve, on one SKU and spread over many, through one handler in this process.
func (b *bench) hot(ctx context.Context) error {
	if err := b.startEvents(ctx); err != nil {
		return err
	}
	h := es.NewHandler(b.store, b.cfg.Catalog, time.Now)
	for i := range b.skus {
		if _, err := es.Handle(ctx, h, stock.Receive{SKU: sku(i), ReceiptID: "first", Quantity: 100_000_000}, es.Call{}); err != nil {
			return fmt.Errorf("receive the goods: %w", err)
		}
	}
	var n atomic.Int64
	reserve := func(pick func() string) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error {
			id := fmt.Sprintf("O%d/1/1", n.Add(1))
			_, err := es.Handle(ctx, h, stock.Reserve{SKU: pick(), ReservationID: id, OrderID: id[:len(id)-4], Quantity: 1}, es.Call{})
			return err
		}
	}
	err := b.turns(ctx, "hot SKU",
		subject{name: "reserve, spread out", workers: clients, under: here(), op: reserve(b.any)},
		subject{name: "reserve, all of one SKU", workers: clients, under: here(), op: reserve(func() string { return sku(0) })},
	)
	b.out.beside("hot SKU", "reserve, all of one SKU", "reserve, spread out", 0.5)
	return err
}
