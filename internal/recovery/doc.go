// Package recovery finds where event store, Kafka and Postgres do not belong together, and makes them.
//
// The event store is the truth. What the relay, the read models, the sagas and the reactors keep in Postgres, and the topic,
// are made from it, and can be made again. They disagree with it after one of the three was lost or restored to an older state, or
// replaced by another installation's: then no role starts, because a checkpoint beyond the end of the log, or of another
// history, would silently pass over events.
//
//	Diagnose ── what disagrees ──▶ refusal to start, naming `daybook recover`
//	   └─────── Plan ── Carry ───▶ 1. the domain passes over what it must not give out again, as numbers of orders that are lost
//	                               2. the topic is deleted
//	                               3. one transaction: what disagrees is forgotten
//
// Evidence is destroyed last and at once, so a recovery that is killed is found unfinished by the next start, and is repeated.
// A running saga or an open payment is found again from its deployment on: commands, effects and the provider know what was
// done already by the same ids.
//
// # What disagrees
//
//   - Another incarnation than the store's. If the store descends from it, it was restored from a backup. If not, Postgres was fed by
//     another installation's store, and nothing is done unless that is stated.
//   - A checkpoint beyond the end of the log. If the relay's is, or the row of a running saga knows more than its stream, the store lost
//     its end: everything made from it is made again. If only a consumer's is, only that one's.
//   - A number of partitions that is not this installation's.
//   - A topic whose newest genuine messages are of another incarnation, or beyond the end of the log. What is not signed with the relay's
//     key says nothing.
//   - A topic that is signed with a key which this installation does not have any more.
//
// An older Postgres, and a Kafka that is empty, need nothing: they catch up. Keys of personal data that are gone with an older
// Postgres are not made again; the doctor lists them.
package recovery
