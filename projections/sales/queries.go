package sales

import (
	"context"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/kit/projection/query"
)

// By is what sums are grouped by.
type By string

const (
	Month   By = "month"   // 2011-06
	Day     By = "day"     // 2011-06-01
	Country By = "country" // ISO 3166
)

// Sum is the sales of one group in one currency, in minor units.
type Sum struct {
	Group         string `db:"grp"`
	Currency      string `db:"currency"`
	Orders        int64  `db:"orders"`
	Units         int64  `db:"units"`
	Goods         int64  `db:"goods"`
	Discount      int64  `db:"discount"`
	Shipping      int64  `db:"shipping"`
	TaxIncluded   int64  `db:"tax_included"`
	TaxAdded      int64  `db:"tax_added"`
	Total         int64  `db:"total"`     // goods − discount + shipping + tax added
	Cancelled     int64  `db:"cancelled"` // totals of confirmed orders cancelled
	ReturnedUnits int64  `db:"returned_units"`
	Refunded      int64  `db:"refunded"`
}

// Range is days of the shop, both included; nil does not bound. Only their dates count.
type Range struct{ From, To *time.Time }

// Cursor is the place after the last sum of a page.
type Cursor struct{ Group, Currency string }

// Page is some sums, by group and currency. Next is nil on the last page.
type Page struct {
	Items []Sum
	Next  *Cursor
}

// Queries sums sales. Zone is the shop's, in which days and months are counted (IANA).
type Queries struct {
	View query.View
	Zone string
}

// Report gives at most limit sums after a cursor, nil from the first, now or at the moment asked for.
func (q Queries) Report(ctx context.Context, ask query.Ask, by By, days Range, after *Cursor, limit int) (Page, query.Answer, error) {
	var group string
	switch by {
	case Month:
		group = `to_char(at at time zone $1::text, 'YYYY-MM')`
	case Day:
		group = `to_char(at at time zone $1::text, 'YYYY-MM-DD')`
	case Country:
		group = `country`
	default:
		return Page{}, query.Answer{}, fmt.Errorf("sales by %q", by)
	}
	if after == nil {
		after = &Cursor{}
	}
	sums, more, answer, err := query.Page[Sum](ctx, q.View, ask, limit, `
		with sale as (
			select key, at, country, currency, units, goods, discount, shipping, tax_included, tax_added, total from {sales} where kind = 'sale' and counted
		), later as (
			select key, kind, at, units, amount from {sales} where kind in ('cancellation', 'return', 'refund')
		), moved as (
			select at, country, currency, 1 as orders, units, goods, discount, shipping, tax_included, tax_added, total,
			       0::bigint as cancelled, 0::bigint as returned_units, 0::bigint as refunded
			from sale
			union all
			select later.at, sale.country, sale.currency, 0, 0, 0, 0, 0, 0, 0, 0,
			       case later.kind when 'cancellation' then sale.total else 0 end,
			       case later.kind when 'return' then later.units else 0 end,
			       later.amount
			from later join sale on sale.key = later.key
		), summed as (
			select `+group+` collate "C" as grp, currency, sum(orders)::bigint as orders, sum(units)::bigint as units,
			       sum(goods)::bigint as goods, sum(discount)::bigint as discount, sum(shipping)::bigint as shipping,
			       sum(tax_included)::bigint as tax_included, sum(tax_added)::bigint as tax_added, sum(total)::bigint as total,
			       sum(cancelled)::bigint as cancelled, sum(returned_units)::bigint as returned_units, sum(refunded)::bigint as refunded
			from moved
			where ($2::date is null or at >= $2::date::timestamp at time zone $1::text)
			  and ($3::date is null or at < ($3::date + 1)::timestamp at time zone $1::text)
			group by 1, 2
		)
		select grp, currency, orders, units, goods, discount, shipping, tax_included, tax_added, total, cancelled, returned_units, refunded
		from summed where (grp, currency) > ($4, $5) order by grp, currency limit $6`,
		q.Zone, days.From, days.To, after.Group, after.Currency)
	page := Page{Items: sums}
	if more {
		last := sums[limit-1]
		page.Next = &Cursor{last.Group, last.Currency}
	}
	return page, answer, err
}
