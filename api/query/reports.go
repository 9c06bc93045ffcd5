package query

import (
	"context"
	"time"

	"github.com/oapi-codegen/runtime/types"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/projections/sales"
)

// ReportSales serves GET /v1/reports/sales.
func (s *Server) ReportSales(ctx context.Context, in openapi.ReportSalesRequestObject) (openapi.ReportSalesResponseObject, error) {
	by := sales.By(in.Params.By)
	l, err := s.queries.Sales(ctx, asked(ctx), by, sales.Range{From: dateOf(in.Params.From), To: dateOf(in.Params.To)}, pageOf(ctx))
	if err != nil {
		return nil, err
	}
	body, h := listed(ctx, l, func(g sales.Sum) openapi.SalesRow { return salesRow(by, g) })
	return openapi.ReportSales200JSONResponse{Body: openapi.SalesReport(body), Headers: openapi.ReportSales200ResponseHeaders(h)}, nil
}

func dateOf(d *types.Date) *time.Time {
	if d == nil {
		return nil
	}
	return &d.Time
}

func salesRow(by sales.By, g sales.Sum) openapi.SalesRow {
	row := openapi.SalesRow{
		Currency: g.Currency, Orders: g.Orders, Units: g.Units, Goods: g.Goods, Discount: g.Discount, Shipping: g.Shipping,
		TaxIncluded: g.TaxIncluded, TaxAdded: g.TaxAdded, Total: g.Total,
		Cancelled: g.Cancelled, ReturnedUnits: g.ReturnedUnits, Refunded: g.Refunded,
	}
	switch by {
	case sales.Month:
		row.Month = &g.Group
	case sales.Day:
		row.Day = &g.Group
	case sales.Country:
		row.Country = &g.Group
	case shop.ByProduct:
		row.Sku = &g.Group
	}
	return row
}
