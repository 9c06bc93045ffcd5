// Package feed brings every relayed event to an engine, each partition in order and without holes: caught up from the
// event store, then live from Kafka.
//
// # Trust
//
// The event store is the truth, the consumer's checkpoint says how much of it has been applied, and Kafka is a fast hint.
// Group membership only says who should work on a partition: two that both believe so are distinguished by the checkpoint's
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
// rereads its checkpoint, which goes back when Postgres crashes and loses its last asynchronous commits. Once it has found nothing, it
// rests: it looks every five seconds until the relay says by NOTIFY that its row has moved.
//
// # Fetching
//
// A generation has one fetcher, and that has one request under way to each broker that leads some of its partitions:
//
//		Kafka ──▶ fetcher ──▶ inbox of partition 0 ──▶ worker of partition 0: decode, verify, deliver
//		          one per     inbox of partition 1 ──▶ worker of partition 1
//		          generation  …   bytes, up to 1 MiB
//
//	  - A request asks for all partitions of the leader that have room, from the offset after what is in the inbox, 1 MiB each and 4 MiB in all.
//	    A partition that brought something goes to the end of the next request, so that a backlog starves no other. Absence from an answer
//	    says nothing: it may have been full before.
//	  - It waits 5 s for something to come. While a partition is in no request, because it has no room, has failed or has not been answered
//	    since, requests wait for 50 ms only: it is never longer than that until the partition can be asked for again, and nothing has to be
//	    interrupted. A partition that comes to a leader which is asked already is asked for beside, for 50 ms at a time.
//	  - A partition that fails stays out with backoff. Its leader is looked up before it is asked for again, and where it begins, if no offset
//	    is known. Another cluster's id means that no offset is.
//	  - What was fetched waits as it came. Only the partition's worker decodes and verifies it: a hostile batch costs its own partition.
//
// A request that a broker does not answer although it has something, as on a connection whose other end has gone, is given up once that is
// known: after a look that found the relay ahead, or after 10 s.
//
// # Load
//
// What the relay published and a partition has not applied may be on its way. A look that finds the relay ahead therefore asks the broker
// where the topic ends, after it has read the relay's row. The event store is read only once everything up to there was delivered and the
// event was not among it. It is read at once if the broker gives no answer, if the last fetch failed, or if what was fetched after the look
// brought nothing new; and after 4 s without anything new. Otherwise events would be taken for missing that come with the next fetch: a look
// that waits half a second for a connection to Postgres sees what was published meanwhile. Each such heal is a pass over the log and a line
// "behind the relay and nothing comes", so a loaded machine is loaded more, and looks take longer.
//
// # What bounds a stall
//
// Delivery waits for what it needs, and for nothing else. No partition waits for another one's worker: a full inbox is left out of the fetch.
// A look is needed by no message, so no partition waits for one: a partition asks, goes on delivering, and compares itself when the answer is there. All partitions of a generation share one look at a time, also one that
// was slow or failed. When each partition waited for a look of its own, behind the others' under one lock, a database that took 4 s for an
// answer held the last of twelve partitions up for 48 s; its line after that was "behind the relay and nothing comes".
//
// After what failed works again, the longest waits of a partition are:
//
//	pauses between tries of a fetch, an apply, a heal      1 to 2 s, and they begin anew after each success
//	a fetch that has had no answer, though there is one    5 s after the last event: a look and 4 s; then another connection, and the heal
//	a leader that has moved without a word                 the same, or until the waiting fetch ends: 5 s
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
// that ends leaves them to the process that takes over. A partition settles what it holds before it heals or looks whether it is idle.
//
// # Failure
//
// An error of Apply is retried until it succeeds, with backoff, after reading the checkpoint again: the transaction may have
// been committed all the same. Health has a value for each partition and activity (fetch, apply, heal, look), which the same look
// sets and clears; a look that failed is repeated each second although nothing comes. Other partitions go on. A message that is not the relay's is
// skipped, for if it hid an event the next message's prev says so. One of another incarnation stops its partition, because
// the log it tells of is not ours.
package feed
