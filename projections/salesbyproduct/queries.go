package salesbyproduct

import (
	"context"
	"time"

	"github.com/daybook-dev/daybook/internal/projection"
)

// Sum is the sales of one product in one currency, in minor units. Shipping is no product's: the total is the goods.
type Sum struct {
	SKU           string `db:"sku"`
	Currency      string `db:"currency"`
	Orders        int64  `db:"orders"`
	Units         int64  `db:"units"`
	Goods         int64  `db:"goods"`
	Cancelled     int64  `db:"cancelled"` // goods of confirmed orders cancelled
	ReturnedUnits int64  `db:"returned_units"`
	Refunded      int64  `db:"refunded"`
}

// Range is days of the shop, both included; zero times do not bound. Only their dates count.
type Range struct{ From, To time.Time }

// Cursor is the place after the last sum of a page.
type Cursor struct{ SKU, Currency string }

// Page is some sums, by SKU and currency. Next is nil on the last page.
type Page struct {
	Items []Sum
	Next  *Cursor
}

// Queries sums sales. Zone is the shop's, in which days are counted (IANA).
type Queries struct {
	View projection.View
	Zone string
}

// Report gives at most limit sums after a cursor, nil from the first, now or at the moment asked for.
func (q Queries) Report(ctx context.Context, ask projection.Ask, days Range, after *Cursor, limit int) (Page, projection.Answer, error) {
	if after == nil {
		after = &Cursor{}
	}
	sums, answer, err := projection.All[Sum](ctx, q.View, ask, `
		with sale as (
			select key, currency from {sales_by_product} where kind = 'order' and counted
		), line as (
			select key, line, sku, at, units, price, amount from {sales_by_product} where kind = 'line'
		), later as (
			select key, kind, line, sku, at, units, amount from {sales_by_product} where kind in ('cancellation', 'return')
		), moved as (
			select sale.key, line.at, line.sku, sale.currency, line.units, line.amount as goods,
			       0::bigint as cancelled, 0::bigint as returned_units, 0::bigint as refunded
			from line join sale on sale.key = line.key
			union all
			select null, later.at, line.sku, sale.currency, 0, 0, later.units * line.price, 0, 0
			from later join line on line.key = later.key and line.line = later.line join sale on sale.key = later.key
			where later.kind = 'cancellation'
			union all
			select null, later.at, later.sku, sale.currency, 0, 0, 0, later.units, later.amount
			from later join sale on sale.key = later.key
			where later.kind = 'return'
		), summed as (
			select sku collate "C" as sku, currency, count(distinct key) as orders, sum(units)::bigint as units,
			       sum(goods)::bigint as goods, sum(cancelled)::bigint as cancelled,
			       sum(returned_units)::bigint as returned_units, sum(refunded)::bigint as refunded
			from moved
			where ($2::date is null or at >= $2::date::timestamp at time zone $1::text)
			  and ($3::date is null or at < ($3::date + 1)::timestamp at time zone $1::text)
			group by 1, 2
		)
		select sku, currency, orders, units, goods, cancelled, returned_units, refunded
		from summed where (sku, currency) > ($4, $5) order by sku, currency limit $6`,
		q.Zone, date(days.From), date(days.To), after.SKU, after.Currency, limit+1)
	page := Page{Items: sums}
	if len(sums) > limit {
		page.Items = sums[:limit]
		last := page.Items[limit-1]
		page.Next = &Cursor{last.SKU, last.Currency}
	}
	return page, answer, err
}

func date(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
