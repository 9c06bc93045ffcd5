// Package relay brings every event from the event store to Kafka, each partition in order.
//
//	standby ──lock──▶ leading: follow the log ─▶ queue per partition ─▶ produce, acks=all ─▶ ledger ─▶ checkpoint row
//	   ▲                 │                       one batch in flight     again and again       what is           Postgres
//	   └──lost the lock──┘                       per partition           until acknowledged
//	      or was fenced                                                                        without a hole
//
// What holds:
//
//   - Prefix property. On every partition, anything after position p is preceded by everything up to p. A partition's
//     next batch is sent when the one before it is acknowledged, and the log is followed from the checkpoint.
//   - ce_prev is never smaller than the truth. It is the chain of what was read, begun from the checkpoint's last position
//     of each partition; the reading has no other filter than es.Record.Relayed.
//   - The checkpoint never says more than was acknowledged: it moves to the last position before which nothing is
//     outstanding, on any partition. It passes what is recorded and not relayed, which is no partition's last position. It never
//     moves back: a writer must hold the newest epoch and know the row's position.
//
// Correctness does not rest on the lock. Two relays, or one that was started again, or one that was asleep while another
// took over, publish the same events from a checkpoint on, in order: duplicates, which consumers skip. The lock saves
// work; the epoch keeps an older leader from writing the row.
//
// When something fails:
//
//   - Kafka away, no leader, outcome unknown: the same batch again, with backoff, until Kafka has it. The topic gone, or a broker
//     that came up empty: the topic is made again and the relay goes on; consumers see the gap and heal from the store.
//   - Event store away: follow it again from the last position read. Another incarnation: refuse.
//   - Postgres away, lock lost, fenced: everything stops at once; stand by.
//   - A server that takes a question and never answers it: asked again after 5 s, or 10 s before publishing begins. A connection to Postgres
//     whose other end is gone ends after 10 s, the lock that it held after 5 s. Only a batch has longer, up to 1 min from its fifth try: a slow
//     connection must be given the time that it takes.
//   - N, incarnation or the store's end do not fit the row: Run ends with a *checkpoint.MismatchError that names the way out.
package relay
