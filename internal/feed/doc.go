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
// # What bounds a stall
//
// Delivery waits for what it needs, and for nothing else. A look is needed by no message, so no partition waits for one: a partition asks,
// goes on fetching, and compares itself when the answer is there. All partitions of a generation share one look at a time, also one that
// was slow or failed. When each partition waited for a look of its own, behind the others' under one lock, a database that took 4 s for an
// answer held the last of twelve partitions up for 48 s; its line after that was "behind the relay and nothing comes".
//
// After what failed works again, the longest waits of a partition are:
//
//	pauses between tries of a fetch, an apply, a heal      1 to 2 s, and they begin anew after each success
//	a fetch that has had no answer                         5.25 s, then another connection; the heal does not wait for Kafka
//	the end of the log, asked for before an unknown event  5 s
//	a look, a checkpoint read again                        10 s; only the partition that reads its checkpoint again waits
//	a try to apply                                         10 s, if the other end of its connection is gone; a database that
//	                                                       is slow has 1 min for a full chunk, and is named after 10 s
//	a group that forms anew                                10 s: session 6 s, rebalance 3 s, and the join
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
