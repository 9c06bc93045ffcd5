// Package persistent keeps persistent subscriptions: groups of consumers that share a stream's events, each event being
// one consumer's until it is acknowledged.
//
// A message's states:
//
//	read → waiting → in flight → done (ack, nack skip)
//	          ↑          ├→ retry: nack retry, timeout, its consumer left; then waiting again
//	          └──────────┤
//	                     └→ parking → done (a link to it is in the parked stream)
//
// The checkpoint is the last event up to which everything is done; it is an event in a stream of the group's own, as
// are the links to parked messages and the groups' settings. After a restart delivery goes on behind the checkpoint:
// at least once, never skipped.
//
// Delivery is in the order of the stream, what is sent again first. What waits is kept in lanes: one for all consumers or, where messages
// are pinned, one for each. A message that cannot be sent holds up no message behind it that can.
//
// Replaying sends the parked messages again and takes them out of the parked stream only when all of them are done: a crash
// in between leaves them parked.
//
// When the store takes no appends (a full disk), checkpoints and parking wait and are tried again; delivery goes on as far as
// consumers have room.
package persistent
