package shop

import (
	"context"

	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/stocklevels"
)

// ReceiveStock records a receipt of goods.
func (c *Commands) ReceiveStock(ctx context.Context, r Request, receive stock.Receive) (Done[stocklevels.Level], error) {
	return c.changeStock(ctx, r.call(streamOf("stock", receive.SKU).String()), receive.SKU, receive)
}

// AdjustStock corrects the stock of a SKU.
func (c *Commands) AdjustStock(ctx context.Context, r Request, adjust stock.Adjust, reason string) (Done[stocklevels.Level], error) {
	stream := streamOf("stock", adjust.SKU)
	call := r.call(stream.String())
	var err error
	if call.Reason, err = c.Keys.Seal(ctx, "staff", stream, "stock.adjusted", "reason", reason); err != nil {
		return Done[stocklevels.Level]{}, err
	}
	return c.changeStock(ctx, call, adjust.SKU, adjust)
}

func (c *Commands) changeStock(ctx context.Context, call es.Call, sku string, d es.Decision[stock.Stock]) (Done[stocklevels.Level], error) {
	return run(ctx, c, call, sku, func(ctx context.Context) (es.Decision[stock.Stock], error) { return d, c.known(ctx, sku) }, func(s stock.Stock) stocklevels.Level {
		row := stocklevels.Row{Location: events.MainLocation, OnHand: int64(s.OnHand), Reserved: int64(s.Reserved), Safety: int64(s.Safety)}
		return stocklevels.Level{Row: row, SKU: sku}
	})
}

// known refuses a SKU that is not in the catalogue, which is probably mistyped.
func (c *Commands) known(ctx context.Context, sku string) error {
	_, ok, err := c.catalogue.offer(ctx, sku, false)
	if err == nil && !ok {
		return Refuse("product_not_found", "there is no product %s", sku)
	}
	return err
}

// Stock returns the stock of a SKU.
func (q *Queries) Stock(ctx context.Context, ask query.Ask, sku string) (Answer[stocklevels.Level], error) {
	return one(ctx, ask, sku, q.stock.Get, "stock_not_found", "stock of")
}
