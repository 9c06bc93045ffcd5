// Package orchestrator runs sagas: it feeds their instances, stores what these make of it, and sends their commands.
//
//	event ──▶ Apply ──▶ instance's stream ──▶ checkpoint + waiting rows ──▶ owner ──▶ command
//	            ▲        (exact revision)      (one transaction)              │
//	            └────────────── Kafka ◀── the command's events ◀──────────────┤
//	                        instance's stream ◀── fed at once ◀───────────────┘
//
// # What holds at any crash
//
//   - The instance's stream is the truth. It is written first, at its exact revision: two processes that step one
//     instance at once cannot both be right, the other reads again and steps again.
//   - The checkpoint moves, by compare-and-set, in the transaction that writes a row per instance touched, also for an
//     input that the instance held already. So when a checkpoint has passed an input, there is a row at least as new as
//     what the input led to. A row is replaced only by one of a higher revision.
//   - A row with due_at says that somebody must look at the instance, no more: what is then sent is asked of the
//     instance, folded from its stream. The owner of the instance's own partition looks, woken in the process, by NOTIFY
//     and by a poll, and moves due_at only after everything due was sent or failed, at the revision it saw. So what is fed
//     at once from a receipt needs no checkpoint: until the owner has written the row, the old one is still due.
//   - A process writes rows in one transaction after another, those of many batches and owners together: two that write one row
//     would wait for each other's commit. If it fails, each writes for itself; what another session holds is written apart from then on.
//   - Sending twice does nothing: a command's id is its effect's id.
//   - What the instance's newest event says of when something is due is read where Postgres has lost the checkpoints: one pass over the
//     log, before the feed, writes a row for each instance that is not over (Prepare).
//
// # Failures
//
// Refused: the command's rejection is the answer, and the saga compensates. Transient (the store away, an outcome
// unknown): sent again with the same id, after growing pauses; after Config.StuckAfter the instance is recorded as
// stuck, and tried every few minutes still. Broken (an event that cannot be stored): stuck at once. An event that cannot be
// decoded or folded, or answers an instance that cannot be found, makes Apply fail: the feed repeats it and says so in
// its Health.
//
// An instance whose definition has changed under it (saga.DefinitionChanged) is shown as stuck. Its inputs are stored, its commands are
// not sent; it is looked at again every few minutes, and a program with the former definition goes on with it, whichever way it comes
// to read it. No other instance waits.
//
// A due timer is not believed at once: its commands are sent again, which tells whether they ever were (if not, the
// timer is put off), and the streams they wait on are read; an answer found there is fed instead. A step that awaits has no command: its
// timer fires once all that was recorded up to its time was heard in the partitions from which the event may come. A deadline counts only
// time in which the system was up (package uptime): a timer is put off by the outages since its wait began, and does not fire before
// the partitions it waits on have caught up to that time.
package orchestrator
