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
//   - Subscriptions skip nothing. A slow subscriber costs one page of memory and holds up no other call.
//   - A repeat of an append is answered as the first time, and writes nothing, as long as the stream shows its events: by their
//     place where a revision or "no stream" is expected, by their ids with Any and StreamExists. Events that are hidden
//     (deleted, below $tb, beyond $maxCount, older than $maxAge) make no repeat: what is answered as appended is shown.
//   - What a stream hides costs its readers nothing.
//   - A record that is not what was written is an error (DataLoss) that names its stream and revision; it is never served.
//
// # When something fails
//
//   - The disk is full, or has less than Config.Store.MinFreeBytes left: appends are refused with ResourceExhausted, reads go on,
//     appends go on by themselves when there is space. An append whose write was under way is answered Aborted
//     ("outcome unknown") after a second, and is written or not.
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
// stand. Groups of consumers are made, changed and deleted by admins and operators, and joined by every user that may read the stream;
// the service Operations is for admins and operators, Users for admins, but that everybody may see himself and change a password
// that he knows. A caller without the right gets PERMISSION_DENIED; one with a wrong password, UNAUTHENTICATED. Without a certificate
// every caller may do everything, without credentials.
//
// Package conformance holds what any EventStoreDB server must do over the wire; this one passes it, insecure and secured.
//
// # Followed, and not
//
// Behaviour follows EventStoreDB oss-v24.6.0; $all shows truncated and expired events until they are scavenged, as there. Different:
//
// Appends and deletes:
//
//   - There, an append with the ids of events that stand at its place, or were lately appended to the stream, is a repeat even if the
//     stream hides them: it is answered as appended and cannot be read. Here only what is shown counts.
//   - With Any and StreamExists, there only lately appended ids are known, and the first id decides. Here all ids of the stream are
//     known; all of them shown is a repeat, none a new append, some a wrong expected version. So is an append with an expected
//     revision whose events are hidden in part.
//   - A repeat with "no stream" is also recognised at the place where a stream began anew after its deletion.
//   - A deletion keeps the stream's other metadata, its $acl too; there the metadata is {"$tb":9223372036854775807} alone.
//   - The metadata stream of a tombstoned stream is ended for writers as for readers; there a write may be accepted for a while, and
//     cannot be read.
//   - An append of no events changes nothing; there it brings a deleted stream back.
//   - An append that a BatchAppend call begins and does not complete is kept until the call ends, up to 256 of them and 64 MiB, beyond
//     which the call is refused; there it is answered with a time-out after the time asked for, two seconds at most, and what comes of
//     it later is passed over. One whose options never came is answered BadRequest here, and not at all there; of options that come
//     twice the last count here, the first there.
//
// Reads:
//
//   - A read or a subscription of $all forwards from a position that the log has not reached is refused with InvalidArgument, as there a
//     position within an event is; there it waits for that position and passes over everything up to it. From the position just behind
//     the last event a read is empty.
//   - A position is a count from 1, and commit and prepare position are the same; there it is a place in a file.
//   - A subscription to a stream ends when that is tombstoned, at once and without $streamDeleted; there a subscriber that has caught
//     up is sent what came before, and $streamDeleted.
//   - A link names its event by digits alone; there blanks round them are taken too.
//   - Metadata is strict JSON; there comments and single quotes are taken too. A stream's limits count whatever its $acl is; there an
//     access control list that cannot be understood makes the limits void.
//
// Rights:
//
//   - Metadata and an access control list that cannot be understood are refused on a secured server; what is stored nevertheless lets
//     in admins only. EventStoreDB takes it for no list. A list counts even if another field makes the limits void.
//   - A user's details are shown to himself and to admins; there any user sees them. A deleted admin or ops does not come back at the
//     next start.
//   - $incarnation can be read by every user.
//   - Passwords are hashed as there, PBKDF2 with 1,000 rounds of SHA-1, which is little today: choose long ones.
//   - Client certificates are not looked at.
//
// Operations:
//
//   - StartScavenge's threads and chunks, MergeIndexes, ResignNode and SetNodePriority mean nothing to this server: they are accepted
//     and change nothing.
//   - A scavenged event leaves a stub of some 40 bytes, which reads of $all step over.
//
// Persistent subscriptions:
//
//   - Replayed parked messages leave the parked stream when all of them are done, not when they are sent: a crash in between
//     leaves them parked. They come with the link by which they came at first, there with the parked stream's; that is so here only
//     where their event or link is gone. A parked message whose event is gone is sent as a link alone, there it is dropped.
//   - A group cannot be made if another one on another stream has the same name, written stream::group: the reason says so. There it
//     exists already.
//   - A persistent subscription's start at the end is the end at its creation or update, also after a restart.
//   - A group's negative settings are refused. A message timeout of 0 is none, there it has passed at once; a checkpoint is saved after
//     0 ms at once, there only by count.
//   - A full consumer holds up only what is pinned to it: a group reads past that, up to 64 MiB. Two messages of one event id are
//     not in flight together, there the second is taken for the first.
//   - An acknowledgement counts from the consumer that has the message. The nack action stop ends the consumer, and what it had goes to
//     others; there the message counts as done. Groups on $all do not see the groups' own streams.
//   - A group whose stream cannot be read drops its consumers, and tries again with the next one. Statistics by time
//     are 0, a group's status is always Live, and what is read ahead is counted as read, not as live.
//
// Not offered: projections (and so the streams that they write, as $streams, $ce-, $et-), the HTTP interface, a cluster, transactions
// of the old TCP protocol, redaction, and plugins.
//
// As there: a call keeps the rights it began with, so a subscription goes on although its user was deleted; a link is resolved
// whether or not its reader may read the stream it names; a subscription to a stream from a revision that is not there yet waits for
// the one behind it.
//
// A call that panics ends with Internal and is logged. A panic of the store's writer ends the process.
package eventserver
