// Package projection describes how events become rows, and how rows are asked. Everything here is pure, but for the
// query helpers' use of pgx; worker feeds the tables, reader serves them.
//
// # A row belongs to one partition
//
// A row's primary key is (key, suffix). The engine puts the event's own key first: order id, SKU, customer id. Everything
// with one key goes through one partition, in order, so exactly one worker ever changes the row. A fold may name several
// rows under that key by a suffix each (OnKey, OnKeys). Totals over many keys (Shared) have the partition's number there,
// and queries sum them; what needs two keys is joined by the query.
//
// # The table
//
// schema.sql's first statement creates the table: "like engine" stands for the engine's own columns, then a column for
// each db tag of Row. What follows are indexes; those on <name>_history are for queries of a past moment.
//
//	create table order_details (
//	    like engine,
//	    status    text not null,
//	    total     bigint not null,
//	    placed_at timestamptz not null
//	);
//	create index on order_details (status, placed_at desc, key desc);
//	create index on order_details_history (status, valid_from desc);
//
// The engine's columns: key and suffix (the primary key), version, revision, position, valid_from, recorded_from (Stamp).
// The history has them too, and valid_to and recorded_to: when the next version took over, or infinity. Keep valid_to and
// recorded_to out of every index. A nil slice, map or pointer of a Row is NULL; structs and slices of structs are jsonb.
//
// # Asking
//
// A single row, as it is or was, read after one's own write:
//
//	func (q Queries) Get(ctx context.Context, ask projection.Ask, id string) (*Detail, projection.Answer, error) {
//	    ask.Key = id // only this order's partition is waited for
//	    return projection.One[Detail](ctx, q.View, ask, `select `+projection.Columns[Detail]()+` from {order_details} where key = $1`, id)
//	}
//
// with type Detail struct { Row; projection.Stamp }. Ask{MinPosition: 17} waits until the order's partition has reached
// 17; Ask{Moment: Moment{AsOf: t}} reads the version that was valid then; Moment{Revision: &n} the first at that revision.
//
// A list by a keyset cursor, at a past moment if ask says so (the same SQL):
//
//	func (q Queries) ByStatus(ctx context.Context, ask projection.Ask, status string, before Cursor, limit int) ([]Item, projection.Answer, error) {
//	    return projection.All[Item](ctx, q.View, ask, `
//	        select key, status, total, placed_at from {order_details}
//	        where status = $1 and (placed_at, key) < ($2, $3)
//	        order by placed_at desc, key desc limit $4`, status, before.PlacedAt, before.Key, limit)
//	}
//
// A report that sums, at a past moment if ask says so:
//
//	projection.All[Month](ctx, q.View, ask, `
//	    select to_char(placed_at at time zone $1, 'YYYY-MM') as month, currency, count(*) as orders, sum(total)::bigint as total
//	    from {sales} where confirmed group by 1, 2 order by 1, 2`, zone)
//
// Tests need no database: package projectiontest.
package projection
