// Package saga drives a process over several streams to its end, or undoes it step by step.
//
//	doing ──refused, timed out, aborted──▶ undoing ──▶ compensated
//	  │                                      ▲              │
//	  └──▶ completed                         └──late success┘
//
// Everything here is pure: Step turns an input into decisions, Effects and Timers say what the instance waits for. The
// orchestrator (package orchestrator) does the rest: it stores input and decisions first and only then sends the commands.
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
// that effect (Step.On). An event without, or with another's effect, is an input only where the definition names it
// (Definition.Start, Definition.On). A timer is an input with an id of its own, ignored unless it is awaited. Inputs
// come in any order, and an ended instance still takes them.
//
// # Knobs
//
// Each has a trace in testdata/booking-*.txt.
//
//   - Definition.Start: the event that starts an instance, whether it does, and under which number.
//   - Definition.On: events that concern the whole, whether they answer an effect or not.
//   - Definition.Abort: why to stop and undo, until the pivot has begun.
//   - Step.Items: what the step does one by one. Each item has its own effect, do and undo.
//   - Step.Do: the command of an item; a step that asks for none is passed over. Without Do a step sends nothing.
//   - Step.Undo: the command that undoes an item. The first step that does something and has no Undo is the pivot.
//   - Step.On: the answers to the step's effects. Refusal makes one refuse; OfUndo makes that a refusal of the undo.
//   - Step.Done, Step.Undone: whether an item has come true, where an answer alone does not say so.
//   - Step.Refused: why an item has failed, where an answer alone does not say so.
//   - Step.Insists: a refusal is tried again and never undone.
//   - Step.Deadline: how long Do may take, for what, and the code of the failure beyond it.
//
// What a function is asked about comes in its Turn: item, attempt, the time at which the attempt began, why it is undone.
//
// # Rules
//
//   - Effect id = UUIDv5(instance, step, item, attempt, do|undo). It is the command's id. Transport retries keep it; the
//     attempt grows by a decision only (began, undoing).
//   - Which commands a step sends is asked when the decision that began it is folded.
//   - A step without Undo is the pivot, or follows it: it has no deadline, and once begun nothing but its own refusal
//     leads back. After the pivot nothing is undone: a refusal is tried again, then the instance is stuck.
//   - Undoing goes in reverse over everything that possibly happened, each step finished before the one before it. A
//     step whose outcome is not known is not Undone: what stands behind it waits (stock is not released while it is
//     unknown whether the card was charged).
//   - A success that comes after its undo triggers the undo again, as a new attempt, also after the end.
//   - A refused undo is tried again as a new attempt, with growing pauses; after that the instance is stuck: recorded,
//     shown, and left as it is until an answer or an operator moves it.
package saga
