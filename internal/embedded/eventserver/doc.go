// Package eventserver is an event store server of our own that speaks EventStoreDB's gRPC protocol, so that the same client
// code serves it and a real cluster. It may run inside another process or as one of its own; package store keeps
// the data.
//
//	s, err := eventserver.Start(ctx, eventserver.Config{Dir: dir})
//	client, err := esdb.NewClient(configuration of s.ConnectionString())
//
// Services: Streams (with BatchAppend, filters, soft delete, tombstone, $maxCount, $maxAge, $tb, links), PersistentSubscriptions,
// ServerFeatures, Gossip (one member, this one) and Monitoring. Backup, Verify, Scavenge, Dump, Restore and Import look after a data
// directory; the first three work on a serving one, too.
//
// # What it promises
//
//   - Acknowledged is synced: an append is answered after the disk has it. All appends that wait share one sync.
//   - Nothing is visible before it is synced: no read, no subscription, no wrong-version answer and no repeat's answer shows
//     what a power cut could still take away.
//   - A position (commit and prepare position are the same number, from 1) that was ever visible is never used for
//     another event. The order of $all is the order of commits; an event's created time never goes back.
//   - Subscriptions skip nothing. A slow subscriber costs one page of memory and holds up nobody.
//   - A repeat of an append is answered as the first time: at a definite revision always, with Any as long as the first
//     event is in the stream.
//   - A record that is not what was written is an error (DataLoss) that names its stream and revision; it is never served.
//
// # When something fails
//
//   - The disk is full, or has less than Config.Store.MinFreeBytes left: appends are refused with ResourceExhausted, reads go on,
//     appends go on by themselves when there is space. An append whose write was under way is answered Aborted
//     ("outcome unknown") after a second, and stands or not.
//   - A write or sync fails: nothing more is written until the next start (Unavailable; Err tells), reads go on. A sync is never
//     tried twice.
//   - The log ends before what was acknowledged: the directory is not opened.
//
// # This history's name
//
// Each new or restored data directory is a history of its own, with an incarnation id that anyone can read: the newest event of
// the stream "$incarnation" has the data {"incarnation":"<uuid>"}. In a new store it is the first event of all.
//
// # Followed, and not
//
// Behaviour follows EventStoreDB oss-v24.6.0; $all shows truncated and expired events until they are scavenged, as there. Different:
//
//   - Config.Users may do everything; there are no users in the store, no $acl, no groups.
//   - Replayed parked messages leave the parked stream when all of them are done, not when they are sent: a crash in between
//     leaves them parked.
//   - A persistent subscription's start at the end is the end at its creation, also after a restart.
//   - Projections, Operations and the HTTP interface are not offered.
//
// A call that panics ends with Internal and is logged. A panic of the store's writer ends the process.
package eventserver

import "github.com/daybook-dev/daybook/internal/embedded/eventserver/store"

// IncarnationStream is the system stream whose newest event says which history this is.
const IncarnationStream = store.IncarnationStream
