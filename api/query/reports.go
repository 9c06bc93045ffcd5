package query

import (
	"context"
	"time"

	"github.com/oapi-codegen/runtime/types"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/projections/sales"
	"github.com/daybook-dev/daybook/projections/salesbyproduct"
)

// ReportSales serves GET /v1/reports/sales.
func (s *Server) ReportSales(ctx context.Context, in openapi.ReportSalesRequestObject) (openapi.ReportSalesResponseObject, error) {
	ask, err := asked(in.Params.MinPosition, in.Params.AsOf, in.Params.KnownAt)
	if err != nil {
		return nil, err
	}
	from, to := dateOf(in.Params.From), dateOf(in.Params.To)
	if from != nil && to != nil && to.Before(*from) {
		return nil, api.NewProblem("bad_range", "the range ends before it begins").At("to", "range", "lies before from")
	}
	filter := "sales/" + string(in.Params.By) + "/" + formatted(from, time.DateOnly) + "/" + formatted(to, time.DateOnly) + momentKey(ask)
	keys, err := after(in.Params.Cursor, filter, 2)
	if err != nil {
		return nil, err
	}
	var report openapi.SalesReport
	var answer projection.Answer
	limit := limitOf(in.Params.Limit)
	if in.Params.By == openapi.ReportSalesParamsByProduct {
		report, answer, err = s.productSales(ctx, ask, salesbyproduct.Range{From: from, To: to}, keys, filter, limit)
	} else {
		report, answer, err = s.groupSales(ctx, ask, sales.By(in.Params.By), sales.Range{From: from, To: to}, keys, filter, limit)
	}
	if err != nil {
		return nil, problemOf(err)
	}
	report.Position = position(answer)
	report.AsOf, report.KnownAt = times(answer)
	return openapi.ReportSales200JSONResponse{Body: report, Headers: openapi.ReportSales200ResponseHeaders{
		DaybookPosition: report.Position, Link: link(ctx, report.Next),
	}}, nil
}

func dateOf(d *types.Date) *time.Time {
	if d == nil {
		return nil
	}
	return &d.Time
}

func (s *Server) groupSales(ctx context.Context, ask projection.Ask, by sales.By, days sales.Range, keys []string, filter string, limit int) (openapi.SalesReport, projection.Answer, error) {
	var from *sales.Cursor
	if keys != nil {
		from = &sales.Cursor{Group: keys[0], Currency: keys[1]}
	}
	page, answer, err := s.sales.Report(ctx, ask, by, days, from, limit)
	r := openapi.SalesReport{Items: make([]openapi.SalesRow, len(page.Items))}
	for i, g := range page.Items {
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
		}
		r.Items[i] = row
	}
	if page.Next != nil {
		r.Next = next(filter, page.Next.Group, page.Next.Currency)
	}
	return r, answer, err
}

func (s *Server) productSales(ctx context.Context, ask projection.Ask, days salesbyproduct.Range, keys []string, filter string, limit int) (openapi.SalesReport, projection.Answer, error) {
	var from *salesbyproduct.Cursor
	if keys != nil {
		from = &salesbyproduct.Cursor{SKU: keys[0], Currency: keys[1]}
	}
	page, answer, err := s.byProduct.Report(ctx, ask, days, from, limit)
	r := openapi.SalesReport{Items: make([]openapi.SalesRow, len(page.Items))}
	for i, p := range page.Items {
		r.Items[i] = openapi.SalesRow{
			Sku: &p.SKU, Currency: p.Currency, Orders: p.Orders, Units: p.Units, Goods: p.Goods, Discount: p.Discount,
			TaxIncluded: p.TaxIncluded, TaxAdded: p.TaxAdded, Total: p.Total,
			Cancelled: p.Cancelled, ReturnedUnits: p.ReturnedUnits, Refunded: p.Refunded,
		}
	}
	if page.Next != nil {
		r.Next = next(filter, page.Next.SKU, page.Next.Currency)
	}
	return r, answer, err
}
