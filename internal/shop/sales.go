package shop

import (
	"context"
	"time"

	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/sales"
	"github.com/daybook-dev/daybook/projections/salesbyproduct"
)

// ByProduct groups a sales report by SKU; sales.By has the other groups.
const ByProduct sales.By = "product"

// Sales sums the sales of a range of days. Rows by product have no shipping.
func (q *Queries) Sales(ctx context.Context, ask query.Ask, by sales.By, days sales.Range, page Page) (List[sales.Sum], error) {
	if err := sound(ask); err != nil {
		return List[sales.Sum]{}, err
	}
	if days.From != nil && days.To != nil && days.To.Before(*days.From) {
		return List[sales.Sum]{}, Refuse("bad_range", "the range ends before it begins").At("to", "range", "lies before from")
	}
	filter := "sales/" + string(by) + "/" + formatted(days.From, time.DateOnly) + "/" + formatted(days.To, time.DateOnly)
	return list(ask, page, filter, 2, func(after []string, limit int) ([]sales.Sum, []string, query.Answer, error) {
		if by == ByProduct {
			return q.productSales(ctx, ask, salesbyproduct.Range(days), after, limit)
		}
		var from *sales.Cursor
		if after != nil {
			from = &sales.Cursor{Group: after[0], Currency: after[1]}
		}
		rows, answer, err := q.sales.Report(ctx, ask, by, days, from, limit)
		if rows.Next == nil {
			return rows.Items, nil, answer, err
		}
		return rows.Items, []string{rows.Next.Group, rows.Next.Currency}, answer, err
	})
}

func (q *Queries) productSales(ctx context.Context, ask query.Ask, days salesbyproduct.Range, after []string, limit int) ([]sales.Sum, []string, query.Answer, error) {
	var from *salesbyproduct.Cursor
	if after != nil {
		from = &salesbyproduct.Cursor{SKU: after[0], Currency: after[1]}
	}
	rows, answer, err := q.byProduct.Report(ctx, ask, days, from, limit)
	sums := make([]sales.Sum, len(rows.Items))
	for i, p := range rows.Items {
		sums[i] = sales.Sum{
			Group: p.SKU, Currency: p.Currency, Orders: p.Orders, Units: p.Units, Goods: p.Goods, Discount: p.Discount,
			TaxIncluded: p.TaxIncluded, TaxAdded: p.TaxAdded, Total: p.Total, Cancelled: p.Cancelled, ReturnedUnits: p.ReturnedUnits, Refunded: p.Refunded,
		}
	}
	if rows.Next == nil {
		return sums, nil, answer, err
	}
	return sums, []string{rows.Next.SKU, rows.Next.Currency}, answer, err
}
