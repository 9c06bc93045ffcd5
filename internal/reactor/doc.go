// Package reactor delivers events to the only code that calls the outside world, at least once each.
//
//	         feed             Apply              one transaction              Own, the partition's owner
//	events ───────▶ Attend, briefly ─┬─▶ checkpoint + waiting rows ──wake──▶ Attend ─▶ Done: row gone
//	                                 │                         ▲                │
//	                                 └▶ Done: checkpoint       └──── due_at ◀───┴ Again: 1, 2, 4 … 30 s, or as said
//
// # What holds
//
// An intent is an event, so it is recorded before anything is called. Its row is written in the transaction that moves the
// checkpoint past it, so no crash loses it; the row goes when the reactor says that the outcome is recorded. An intent is tried once
// before: if its outcome is recorded within a moment it needs no row. A crash until the checkpoint has moved brings it again.
//
// Only who moves a partition's checkpoint opens intents in it, so it knows which streams have some: an event that wakes none moves a
// checkpoint, no more, and may wait for others.
//
// Attend may come twice for one intent, also at the same time from two processes while a partition changes hands:
// reactors load the intent's stream first, and give the outside world a key under which a repeat is harmless.
//
// Each reactor has checkpoints of its own, moved by compare-and-set from the position read: a zombie's batch is refused with
// feed.ErrFenced. The first ones are those of its deployment stream, also after Postgres was lost: then every intent since
// is opened once more, and closed by its outcome in the stream, without a call.
// Nothing here is reachable from a replay or a rebuild: the engine only knows how to be fed.
//
// Rows and checkpoints are written with synchronous_commit off. What a crash of Postgres takes back is whole transactions
// from the end: an intent comes again with its row, an attempt is made again under its key.
//
// # Failures
//
// An error or a panic of Attend is logged and tried again with backoff until it succeeds; only that row waits. The same holds for rows
// of a reactor that this program does not have: they stay. Apply's errors are the feed's to repeat.
// A row that another session holds is written later; an event that would wake it does so once it is free. Intents whose last try
// failed share a part of the partition's calls, so that they leave room for the others.
// An intent that has been open for long (Config.AlertAfter) is logged as a warning once, and counted at each try,
// unless it waits for something outside that has its own time.
//
// Who applies a partition also owns it, so a new row wakes its owner within the process; NOTIFY daybook_reactor wakes
// every owner for rows changed by somebody else, and a poll each second is the fallback for both.
package reactor
