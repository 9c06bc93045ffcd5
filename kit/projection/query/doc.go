// Package query asks for the rows of projections, now or as they were: SQL of Postgres, read through a View of the program.
//
// A single row, as it is or was, read after one's own write:
//
//	func (q Queries) Get(ctx context.Context, ask query.Ask, id string) (*Detail, query.Answer, error) {
//	    ask.Key = id // only this order's partition is waited for
//	    return query.One[Detail](ctx, q.View, ask, `select `+query.Columns[Detail]()+` from {order_details} where key = $1`, id)
//	}
//
// with type Detail struct { Row; projection.Stamp }. Ask{MinPosition: 17} waits until the order's partition has reached
// 17; Ask{Moment: Moment{AsOf: t}} reads the version that was valid then; Moment{Revision: &n} the first at that revision.
//
// A list by a keyset cursor, at a past moment if ask says so (the same SQL):
//
//	func (q Queries) ByStatus(ctx context.Context, ask query.Ask, status string, before Cursor, limit int) ([]Item, query.Answer, error) {
//	    return query.All[Item](ctx, q.View, ask, `
//	        select key, status, total, placed_at from {order_details}
//	        where status = $1 and (placed_at, key) < ($2, $3)
//	        order by placed_at desc, key desc limit $4`, status, before.PlacedAt, before.Key, limit)
//	}
//
// A report that sums, at a past moment if ask says so:
//
//	query.All[Month](ctx, q.View, ask, `
//	    select to_char(placed_at at time zone $1, 'YYYY-MM') as month, currency, count(*) as orders, sum(total)::bigint as total
//	    from {sales} where confirmed group by 1, 2 order by 1, 2`, zone)
package query
