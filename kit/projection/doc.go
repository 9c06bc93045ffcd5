// Package projection describes how events become rows. Everything here is pure: package query asks for the rows, and package
// plan is what the engines run.
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
// A version that leaves a wide column (jsonb, an array, bytea) as it was does not keep it again: <column>.version names the version
// that has it. Queries of a past moment put it in place; they filter and sort by the other columns, and only those are worth an index.
// Rows that are made Once have no second version, and no table of a history.
//
// Tests need no database: package projectiontest.
package projection
