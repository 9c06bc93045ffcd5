// Package saga drives a process over several streams to its end, or undoes it step by step.
//
//	doing ──refused, timed out, aborted──▶ undoing ──▶ compensated
//	  │                                      ▲              │
//	  └──▶ completed                         └──late success┘
//
// Everything here is pure. Definition.Machine gives what the engines run (package machine): there, Step turns an input into
// decisions, Effects and Timers say what the instance waits for. The orchestrator does the rest: it stores input and decisions first
// and only then sends the commands.
// Nothing is remembered but what the instance's stream says, so folding it again gives the same instance, which owes the
// same commands under the same ids.
//
// # Record
//
// An append is one event, saga.stepped: its inputs in order, each whole, with the decisions it led to and a digest of each
// command that was asked for. Folding decides nothing. Where the definition gives other commands than were recorded, the
// instance is stuck as definition_changed: it records what it hears and sends nothing, until a program with the former
// definition folds it and decides the rest (Resumed).
//
// # Inputs
//
// An event is known by its stream and revision: one the instance already holds is ignored. It reaches an instance in one
// of two ways. An answer carries in its metadata the effect it answers, and is folded only by the instance that issued
// that effect (Step.On). An event without, or with another's effect, is an input only where the definition names it: Definition.Start,
// Definition.On, Reopen.On, and Step.On of a step that awaits. It reaches the instance of its own key, "placement-O", or those whose
// numbers OnNumbered gives, "returning-O.2"; of another key by an effect only. Compile refuses a reply that could reach no
// instance. A timer is an input with an id of its own, ignored unless it is awaited. Inputs come in any order, and an ended
// instance still takes them.
//
// # Knobs
//
// Each has a trace in testdata, booking-*.txt or sending-*.txt.
//
//   - Definition.Start: the event that starts an instance and whether it does; with StartNumbered, under which number.
//   - Definition.On: events that concern the whole, whether they answer an effect or not.
//   - Definition.Abort: why to stop and undo, until the pivot has begun.
//   - Definition.Reopen: events that lead a completed instance back into its steps, and for how long after its end.
//   - Step.Items: what the step does one by one. Each item has its own effect, do and undo, and its own attempts. Items
//     that the state names later are begun while the step runs; once it is done, none is.
//   - Step.Do: the command of an item; an item for which there is none is passed over. Without Do a step sends nothing: it awaits
//     Done, or is passed over if it has none.
//   - Step.Undo: the command that undoes an item. The first step with Do and without Undo is the pivot.
//   - Step.On: the answers to the step's effects; of a step that awaits, the events it awaits. Refusal makes one refuse; OfUndo makes
//     that a refusal of the undo.
//   - Step.Done, Step.Undone: whether an item is done, or undone, where an answer alone does not say so.
//   - Step.Refused: why an item has failed, where an answer alone does not say so.
//   - Step.Insists: a refusal is tried again and never undone.
//   - Step.Deadline: how long the step may take, for what, when to be reminded, and the code of the failure beyond it.
//   - Step.Late: what is assumed beyond the deadline of a step that awaits after the pivot. Without it people are alerted, and the
//     step goes on waiting.
//
// What a function is asked about comes in its Turn: item, attempt, the time at which the attempt began, why it is undone.
//
// # Rules
//
//   - Effect id = UUIDv5(instance, step, item, attempt, do|undo). It is the command's id. Transport retries keep it; the
//     attempt grows by a decision only (began, undoing).
//   - Which commands a step sends is asked when the decision that began it is folded.
//   - A refusal before the pivot counts once all items are answered: then the step is undone as a whole. What must happen (Insists, and
//     all after the pivot) is tried again for the refused item alone, with growing pauses; after that the instance is stuck.
//   - Nothing but a refusal of the pivot itself leads back once it has begun. What is late from the pivot on is shown, and not undone.
//   - Undoing goes in reverse over everything that possibly happened, each step finished before the one before it. A
//     step whose outcome is not known is not Undone: what comes before it waits (stock is not released while it is
//     unknown whether the card was charged).
//   - A success that comes after its undo triggers the undo again, as a new attempt, also after the end.
//   - A refused undo is tried again as a new attempt of its item, with growing pauses; after that the instance is stuck: recorded,
//     shown, and left as it is until an answer or an operator moves it.
//   - A completed instance that hears a reopening event begins its steps anew. What Done says has come is passed over; the rest is a new
//     attempt, and Abort may undo it all, whatever the pivot. An answer to an attempt of before is folded, and ends no newer one.
//     The time between end and event counts as recorded, not as heard. An event that comes too late makes the instance stuck.
package saga
