// Package postgres is how every part of the program reaches Postgres: pools, the schema, and wake-ups.
//
// All tables of the engines live in the schema daybook; projections have schemas of their own. Migrations are SQL
// files, one per engine, applied by Migrate.
//
// What holds for every writer:
//
//   - A cancelled Exec closes its connection: a deadline is not a way to poll.
//   - Correctness never rests on an advisory lock or a notification. A process that lost its lock can still write, so
//     every checkpoint moves by compare-and-set; a notification can be lost, so every waiter also polls.
//   - synchronous_commit is on unless a transaction says otherwise. It may be off where what is lost with the last
//     seconds is read again from the log: rows and their checkpoint in one transaction.
//   - Statements name their columns. plan_cache_mode=force_custom_plan belongs on connections whose statements first
//     run on empty tables.
package postgres
