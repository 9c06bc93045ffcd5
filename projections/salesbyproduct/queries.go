package salesbyproduct

import (
	"context"
	"time"

	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Sum is the sales of one product in one currency, in minor units. Shipping and its tax are no product's.
type Sum struct {
	SKU           string `db:"sku"`
	Currency      string `db:"currency"`
	Orders        int64  `db:"orders"`
	Units         int64  `db:"units"`
	Goods         int64  `db:"goods"`
	Discount      int64  `db:"discount"`
	TaxIncluded   int64  `db:"tax_included"`
	TaxAdded      int64  `db:"tax_added"`
	Total         int64  `db:"total"`     // goods − discount + tax added
	Cancelled     int64  `db:"cancelled"` // totals of units of confirmed orders cancelled
	ReturnedUnits int64  `db:"returned_units"`
	Refunded      int64  `db:"refunded"`
}

// Range is days of the shop, both included; nil does not bound. Only their dates count.
type Range struct{ From, To *time.Time }

// Cursor is the place after the last sum of a page.
type Cursor struct{ SKU, Currency string }

// Page is some sums, by SKU and currency. Next is nil on the last page.
type Page struct {
	Items []Sum
	Next  *Cursor
}

// Queries sums sales. Zone is the shop's, in which days are counted (IANA).
type Queries struct {
	View query.View
	Zone string
}

// Report gives at most limit sums after a cursor, nil from the first, now or at the moment asked for.
func (q Queries) Report(ctx context.Context, ask query.Ask, days Range, after *Cursor, limit int) (Page, query.Answer, error) {
	if after == nil {
		after = &Cursor{}
	}
	sums, more, answer, err := query.Page[Sum](ctx, q.View, ask, limit, `
		with sale as (
			select key, currency from {sales_by_product} where kind = 'order' and counted
		), line as (
			select key, line, sku, at, units, price, amount, discount, tax, total, total - (amount - discount) as added
			from {sales_by_product} where kind = 'line'
		), later as (
			select key, kind, line, sku, at, units, amount from {sales_by_product} where kind in ('cancellation', 'return')
		), moved as (
			select sale.key, line.at, line.sku, sale.currency, line.units, line.amount as goods, line.discount,
			       case when line.added = 0 then line.tax else 0 end as tax_included, line.added as tax_added, line.total,
			       0::bigint as cancelled, 0::bigint as returned_units, 0::bigint as refunded
			from line join sale on sale.key = line.key
			union all
			select null, later.at, line.sku, sale.currency, 0, 0, 0, 0, 0, 0,
			       (later.units * line.price -- the highest units are cancelled, with what they bear of discount and tax
			        - (line.discount - div(line.discount::numeric * (line.units - later.units), line.units))
			        + (line.added - div(line.added::numeric * (line.units - later.units), line.units)))::bigint, 0, 0
			from later join line on line.key = later.key and line.line = later.line join sale on sale.key = later.key
			where later.kind = 'cancellation'
			union all
			select null, later.at, later.sku, sale.currency, 0, 0, 0, 0, 0, 0, 0, later.units, later.amount
			from later join sale on sale.key = later.key
			where later.kind = 'return'
		), summed as (
			select sku collate "C" as sku, currency, count(distinct key) as orders, sum(units)::bigint as units,
			       sum(goods)::bigint as goods, sum(discount)::bigint as discount, sum(tax_included)::bigint as tax_included,
			       sum(tax_added)::bigint as tax_added, sum(total)::bigint as total, sum(cancelled)::bigint as cancelled,
			       sum(returned_units)::bigint as returned_units, sum(refunded)::bigint as refunded
			from moved
			where ($2::date is null or at >= $2::date::timestamp at time zone $1::text)
			  and ($3::date is null or at < ($3::date + 1)::timestamp at time zone $1::text)
			group by 1, 2
		)
		select sku, currency, orders, units, goods, discount, tax_included, tax_added, total, cancelled, returned_units, refunded
		from summed where (sku, currency) > ($4, $5) order by sku, currency limit $6`,
		q.Zone, days.From, days.To, after.SKU, after.Currency)
	page := Page{Items: sums}
	if more {
		last := sums[limit-1]
		page.Next = &Cursor{last.SKU, last.Currency}
	}
	return page, answer, err
}
