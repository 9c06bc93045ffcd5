// Package feed brings every relayed event to an engine, each partition in order and without holes: caught up from the
// event store, then live from Kafka.
//
// # Trust
//
// The event store is the truth, the consumer's checkpoint says how much of it has been applied, and Kafka is a fast hint.
// Group membership only says who should work on a partition: two that both believe so are told apart by the checkpoint's
// compare-and-set. Offsets only say where to resume; one that the broker does not have means its first. Losing all
// of a broker's data, or finding another broker in its place, therefore loses and repeats nothing.
// A process that has died is missed by its group after six seconds; then others are given its partitions.
//
// # The life of a partition
//
//	        assigned: read the checkpoint P
//	                     │
//	                     ▼          position ≤ P: skip
//	┌──────────────▶  following  ◀───────────────┐
//	│                │        │                  │
//	│ prev ≤ P: apply│        │ prev > P, or     │ the event at the gap's end
//	└────────────────┘        │ idle and behind  │ was read and applied
//	                          ▼                  │
//	                       healing  ─────────────┘
//	                 (from the event store)
//	a message of another incarnation: stopped, until the process is started anew
//
// Every message carries the position of the event before it in its partition. If that is beyond P something was missed, and
// (P, prev] is read from the event store. A heal ends only when the event at its end itself was applied; if the log
// ends earlier it waits. A partition that has heard nothing for a second compares itself with the relay's row, and
// rereads its checkpoint, which goes back when Postgres crashes and loses its last asynchronous commits.
//
// # Load
//
// What the relay published after a partition's last fetch is not missing. A look that finds the relay ahead is therefore followed by a
// fetch, and only if that one, begun after the look, has nothing is the event store read. Without the second fetch, events were taken for
// missing that came with it: a look that waits half a second for a connection to Postgres sees what was published meanwhile. Each such
// heal is a pass over the log and a line "behind the relay and nothing comes", so a loaded machine is loaded more, and looks take longer.
//
// A stall of live delivery itself was looked for and not found: with all connections of Postgres taken for 20 s, and the whole system
// limited to 15 to 50 % of one core with one thread, live delivery went on after the connections' return, at 50 % within 3 s, without a
// heal. What could hold a partition up without an end was a call to Postgres on a dead connection: every
// question and every try to apply now has a time-out of its own.
//
// # Holding
//
// Most events change nothing of a consumer but its checkpoint. A Selective consumer says which, and those are held for a
// moment: they are applied with the next that concerns somebody, or together when Config.Hold is over. It is only when they are
// applied that changes, never whether, in which order or after what; the checkpoint stays behind meanwhile, and a process
// that ends leaves them to whoever takes over. A partition settles what it holds before it heals or looks whether it is idle.
//
// # Failure
//
// An error of Apply is retried until it succeeds, with backoff, after reading the checkpoint again: the transaction may have
// been committed all the same. Health has a value for each partition and activity (fetch, apply, heal, look), which the same look
// sets and clears; a look that failed is repeated each second although nothing comes. Other partitions go on. A message that is not the relay's is
// skipped, for if it hid an event the next message's prev says so. One of another incarnation stops its partition, because
// the log it tells of is not ours.
package feed
