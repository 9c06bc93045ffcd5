package command

import (
	"context"
	"net/url"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

func escape(segment string) string { return url.PathEscape(segment) }

// ReceiveStock serves POST /v1/stock/{sku}/receipts.
func (s *Server) ReceiveStock(ctx context.Context, in openapi.ReceiveStockRequestObject) (openapi.ReceiveStockResponseObject, error) {
	call := api.RequestOf(ctx).Call(es.StreamID{Category: "stock", Key: in.Sku}.String())
	receipt, body, err := es.HandlePreparedView(ctx, s.Handler, in.Sku, call, func(ctx context.Context) (es.Decision[stock.Stock], error) {
		return stock.Receive{SKU: in.Sku, ReceiptID: in.Body.Id, Quantity: int(in.Body.Quantity)}, s.known(ctx, in.Sku)
	}, shelf)
	if err != nil {
		return nil, err
	}
	body.Sku, body.Revision = in.Sku, int64Of(receipt.Revision)
	return openapi.ReceiveStock201JSONResponse{Body: body, Headers: openapi.ReceiveStock201ResponseHeaders{
		Location: "/v1/stock/" + escape(in.Sku), ETag: api.ETag(receipt.Revision, receipt.Position),
		DaybookPosition: api.Position(receipt.Position), IdempotentReplayed: replayed(receipt),
	}}, nil
}

// AdjustStock serves POST /v1/stock/{sku}/adjustments.
func (s *Server) AdjustStock(ctx context.Context, in openapi.AdjustStockRequestObject) (openapi.AdjustStockResponseObject, error) {
	stream := es.StreamID{Category: "stock", Key: in.Sku}
	call := api.RequestOf(ctx).Call(stream.String())
	var err error
	if call.Reason, err = s.Keys.Seal(ctx, "staff", stream, "stock.adjusted", "reason", in.Body.Reason); err != nil {
		return nil, err
	}
	receipt, body, err := es.HandlePreparedView(ctx, s.Handler, in.Sku, call, func(ctx context.Context) (es.Decision[stock.Stock], error) {
		return stock.Adjust{SKU: in.Sku, Change: int(in.Body.Change)}, s.known(ctx, in.Sku)
	}, shelf)
	if err != nil {
		return nil, err
	}
	body.Sku, body.Revision = in.Sku, int64Of(receipt.Revision)
	return openapi.AdjustStock201JSONResponse{Body: body, Headers: openapi.AdjustStock201ResponseHeaders{
		Location: "/v1/stock/" + escape(in.Sku), ETag: api.ETag(receipt.Revision, receipt.Position),
		DaybookPosition: api.Position(receipt.Position), IdempotentReplayed: replayed(receipt),
	}}, nil
}

// known refuses stock of what is not in the catalogue: most likely the SKU is mistyped.
func (s *Server) known(ctx context.Context, sku string) error {
	_, ok, err := s.catalogue.offer(ctx, sku, false)
	if err == nil && !ok {
		return api.NewProblem("product_not_found", "there is no product %s", sku)
	}
	return err
}

// shelf shows what is there of a SKU.
func shelf(st stock.Stock) openapi.Stock {
	return openapi.Stock{
		Location: events.MainLocation, OnHand: int64(st.OnHand), Reserved: int64(st.Reserved), Safety: int64(st.Safety),
		Available: int64(st.Available()),
	}
}
