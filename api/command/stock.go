package command

import (
	"context"
	"net/url"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/api/shown"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/projections/stocklevels"
)

// ReceiveStock serves POST /v1/stock/{sku}/receipts.
func (s *Server) ReceiveStock(ctx context.Context, in openapi.ReceiveStockRequestObject) (openapi.ReceiveStockResponseObject, error) {
	done, err := s.commands.ReceiveStock(ctx, asked(ctx), stock.Receive{SKU: in.Sku, ReceiptID: in.Body.Id, Quantity: int(in.Body.Quantity)})
	if err != nil {
		return nil, err
	}
	return openapi.ReceiveStock201JSONResponse{Body: stockOf(done), Headers: openapi.ReceiveStock201ResponseHeaders(headersOf(done, stockAt(in.Sku)))}, nil
}

// AdjustStock serves POST /v1/stock/{sku}/adjustments.
func (s *Server) AdjustStock(ctx context.Context, in openapi.AdjustStockRequestObject) (openapi.AdjustStockResponseObject, error) {
	done, err := s.commands.AdjustStock(ctx, asked(ctx), stock.Adjust{SKU: in.Sku, Change: int(in.Body.Change)}, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return openapi.AdjustStock201JSONResponse{Body: stockOf(done), Headers: openapi.AdjustStock201ResponseHeaders(headersOf(done, stockAt(in.Sku)))}, nil
}

func stockAt(sku string) string { return "/v1/stock/" + url.PathEscape(sku) }

func stockOf(d shop.Done[stocklevels.Level]) openapi.Stock {
	body := shown.Stock(d.Shown)
	body.Revision = int64Of(d.Revision)
	return body
}
