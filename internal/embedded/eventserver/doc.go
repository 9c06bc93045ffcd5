// Package eventserver is an event store server of our own that speaks EventStoreDB's gRPC protocol, so that the same client
// code serves it and a real cluster. It may run inside another process or as one of its own; package store keeps
// the data.
//
//	s, err := eventserver.Start(ctx, eventserver.Config{Dir: dir})
//	client, err := esdb.NewClient(configuration of s.ConnectionString())
//
// Within its process, a client of ours calls it through Local, without HTTP/2; Config.Socket adds a Unix socket.
//
// Services: Streams (with BatchAppend, filters, soft delete, tombstone, $maxCount, $maxAge, $tb, $acl, links),
// PersistentSubscriptions, Users, Operations, ServerFeatures, Gossip (one member, this one) and Monitoring.
//
// Backup, Verify, Scavenge, Dump, Restore and Import look after a data directory that is not served; AdministrationService does most
// of that on a running server. A dump is NDJSON, an event a line, as store.Line has it:
//
//	{"position":2,"stream":"order-1","revision":0,"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","type":"order.placed","created":17320896000000000,"json":true,"data":{"total":"12.50"},"meta":{"user":"ann"}}
//
// Package standalone makes a program of all this, package eventservertest starts a server for a test.
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
// Each new or restored data directory is a history of its own, with an incarnation id that every user can read: the newest event of
// the stream "$incarnation" has the data {"incarnation":"<uuid>"}. In a new store it is the first event of all.
//
// # Who may do what
//
// With a certificate the server is a secured one: TLS only, and every call but Gossip and ServerFeatures by the right of a user,
// who gives name and password as HTTP basic authentication has them. Package access says what the rights are and where they
// stand. Groups of consumers are made, changed and deleted by admins and operators, and joined by whoever may read the stream;
// the service Operations is for admins and operators, Users for admins, but that everybody may see himself and change a password
// that he knows. Who is not let in is told PERMISSION_DENIED; whose password is wrong, UNAUTHENTICATED. Without a certificate
// everybody may do everything, and nobody is asked.
//
// Package conformance holds what any EventStoreDB server must do over the wire; this one passes it, insecure and secured.
//
// # Followed, and not
//
// Behaviour follows EventStoreDB oss-v24.6.0; $all shows truncated and expired events until they are scavenged, as there. Different:
//
//   - An access control list that cannot be understood is refused on a secured server; one that is stored nevertheless lets in admins
//     only. EventStoreDB takes it for none.
//   - A user's details are shown to himself and to admins; there any user sees them. A deleted admin or ops does not come back at the
//     next start.
//   - $incarnation can be read by every user.
//   - A call keeps the rights it began with, as there: a subscription goes on although its user was deleted.
//   - Passwords are hashed as there, PBKDF2 with 1,000 rounds of SHA-1, which is little today: choose long ones.
//   - StartScavenge's threads and chunks, MergeIndexes, ResignNode and SetNodePriority mean nothing to this server: they are accepted
//     and change nothing. Client certificates are not looked at.
//   - Replayed parked messages leave the parked stream when all of them are done, not when they are sent: a crash in between
//     leaves them parked.
//   - A persistent subscription's start at the end is the end at its creation, also after a restart.
//   - Projections and the HTTP interface are not offered.
//
// A call that panics ends with Internal and is logged. A panic of the store's writer ends the process.
package eventserver

import "github.com/daybook-dev/daybook/internal/embedded/eventserver/store"

// IncarnationStream is the system stream whose newest event says which history this is.
const IncarnationStream = store.IncarnationStream
