// Package doctor checks the invariants of a whole system against each other's sources: the event store, Kafka, Postgres
// and the payment provider's ledger. There is one checker, for the command line, for tests and for benchmarks.
//
//	I1 every event is recorded once, under the id that its command gives it, and belongs to a command that was sent
//	I2 revisions have no holes; positions only grow
//	I3 every row and every version of a read model is the fold of the log
//	I4 per order at rest: money held + received − given back is what the order comes to; the provider says the same
//	I5 per SKU: units on hand and units promised are what the events add up to, each promise one of a live order
//	I6 every saga has ended, or waits for something that is named
//	I7 no command took effect twice
//	I8 on Kafka, first copies keep their order and ce_prev hides no gap
//	I9 every key that personal data was sealed with is there, or was erased
//
// # How
//
// The log is folded here once more, by folds of the doctor's own where numbers are concerned, by the very plans of the
// projections for rows. A running system moves meanwhile: the doctor waits until nothing is owed, as long as Config.Settle,
// and says so if that never came. I3 needs no rest: rows and checkpoints are read in one snapshot, and each partition is
// folded exactly as far as its checkpoint.
//
// Rows belong to one partition each, so partitions are folded beside one another, and the tables are compared over several
// connections that share the snapshot. All this goes on beside the other invariants, once there is rest or nothing runs.
// Columns are held to each other by 64-bit sums of what they mean: JSON by its members, whatever their order and escapes.
// Report.Took says where the time went.
//
// I4 and I6 are about sagas that have come to rest. What is still within its time is counted as moving, not as wrong; a
// saga that owes something for longer than Config.Patience is a finding.
//
// # What it does not do
//
// It repairs nothing and appends nothing. That an acknowledged command is recorded it can only know from the caller:
// Config.Acknowledged. A build of a version that this program does not hold is passed over, and listed as such.
package doctor
