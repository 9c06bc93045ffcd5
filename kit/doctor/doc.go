// Package doctor is what a team writes the checks of its domain with, and what an examination of a whole system reports.
//
// runtime.Examine knows no event, command or read model. It holds every domain to what all of them promise:
//
//	I1 every event is recorded once, under the id that its command gives it, and belongs to a command that was sent
//	I2 revisions have no holes; positions only grow
//	I3 every row and every version of a read model is the fold of the log
//	I6 every saga has ended, or waits for something that is named; every intent that a reactor attends to is recorded
//	I7 no command took effect twice
//	I8 on Kafka, first copies keep their order and ce_prev hides no gap
//	I9 every key that personal data was sealed with is there, or was erased
//
// What only a domain knows, it says by a Check: that sums agree, that a thing is given to one alone, that another system says the same.
//
//	log ──▶ Fold, event by event ──▶ Look, once ──▶ Report
//	another system ──▶ Outside ────────┘
//
// A Check counts by code of its own: a sum that an aggregate gives proves nothing about the aggregate. Its invariants have names of the
// domain's own.
//
// # What is under way
//
// A running system moves. The doctor waits until nothing is owed and no consumer is behind, and says so if that never came. What is
// still within its time is not a breach: Look asks Seen.Resting before it holds a key to what only holds at its end.
package doctor
