// Package es is the kernel: events, the catalog that names them, commands that decide them, and the lanes that make a
// decision durable exactly once. Outside the standard library it imports internal/lru alone, which imports
// nothing else either.
//
//	command ──▶ lane of its stream ──▶ decided on the cached state ──▶ appended at the exact revision ──▶ answered
//	              (one after another)       (a pure function)           (with what queued up meanwhile)
//
// # What holds
//
//   - A command id takes effect once per stream. It is looked for in the folded state before the command is decided, and the
//     expected revision keeps two processes from both deciding it.
//   - An answer that appends nothing (a refusal, nothing to do, a replay, a stale If-Match) is given only on a state that was
//     read after the command came, or that an append of the same batch has proved to be current.
//   - An append whose outcome is unknown is resolved by reading the stream: what is found there is the answer, what is not
//     goes out again with the very same bytes. Success is never a guess; unresolved, it is ErrUnknownOutcome.
//   - What a view shows is the state at the receipt's revision, taken in the lane between two commands; it is handed out with
//     the receipt only, once the events are durable. A repeat folds the stream up to that revision again.
//   - A state at hand that does not know a command's id is enough to look up what the command needs. If that fails, or before
//     anything is answered without an append, the stream is asked: another process may have decided the command.
//   - Deciders have no clock and do no IO. The business time of an event is the stated or present one, and never before that
//     of the event before it.
//
// # Trust
//
// Cached state is a hint that the expected revision checks. Nothing is decided on what another process may have appended
// without that being noticed. A state that cannot be folded is an error of that one stream.
package es
