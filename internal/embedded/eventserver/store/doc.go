// Package store keeps the events of an event store server in a directory, on pebble.
//
// One goroutine, the writer, changes anything:
//
//	Submit → queue → take what waits → check against heads → batch → write+sync → visible moves → watchers wake → Done
//
// Whatever an answer shows (a success, a wrong version, a repeat) is given after the sync of the batch it was decided in.
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
