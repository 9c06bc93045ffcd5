// Package store keeps the events of an event store server in a directory, on pebble.
//
// Two goroutines change anything, one group of appends after another:
//
//	writer: Submit → queue → take what waits → check against heads → batch → pebble's log
//	settle: log written and synced → visible moves → watchers wake → Done
//
// The writer makes the next group up while the disk syncs this one; no timer holds anything back. Whatever an answer shows (a
// success, a wrong version, a repeat) is given after the sync of the group it was decided in and of all before it. A group
// that fails takes those behind it with it.
//
// Two things make it fast. Entries beside the records go into a batch in order, which halves what the memtable costs. And a log
// is written over a file of zeros (spare.go), whose syncs need no journal of the file system: a disk that syncs a growing file
// 4,200 times a second syncs one that is there 6,700 times.
//
// Pebble lets readers see a batch before its sync; every read is therefore bounded by the visible position, and a
// stream whose head is ahead of it is waited for.
//
// States: open → (failed write or sync) → read-only until reopened; open ⇄ full, while the disk lacks space. A full disk is
// met by holding pebble's write back until there is space (diskGuard), because pebble itself would end the process.
// Where pebble wants to end the process for another reason, its goroutine ends and the store is read-only; if that was a
// background goroutine holding pebble's locks, reads may hang until the restart.
//
// Trust: pebble's checksums cover its blocks and its log, each record's own checksum covers position and content, heads have
// one too, and index entries are checked against the record they lead to. The watermark file notices a log whose
// acknowledged end is missing.
package store
