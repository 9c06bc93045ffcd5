// Package reactor is what a team writes an effect with: code that calls the outside world because an event asks for it, and records
// what came of it as another event.
//
//	event ──▶ intent ──▶ Attend ─┬─▶ Done: the outcome is recorded
//	             ▲               ├─▶ Again: not known yet, later once more
//	             └───────────────┴── error: later once more, with the memo it had
//
// # What a reactor must hold
//
// Delivery is at least once. Attend may come twice for one intent, also at the same time from two processes. So a reactor folds the
// intent's stream first and calls only if there is no outcome; it gives the outside world a key under which a repeat is harmless
// (Task.ID, or the effect id in the event's metadata); and it records the outcome under a command id that follows from the intent.
//
// No answer is not a refusal. While it is unknown whether a call took effect, the outcome is unknown: record that if others wait for
// it, and come back with Again.
//
// # What the engine holds
//
// The checkpoint passes an intent once its outcome is recorded, or in one transaction with a row for it, so no crash loses it. An error or a panic is tried again with a
// growing pause, and only that intent waits. Nothing here is reachable from a replay or a rebuild.
package reactor
