// Package doctor examines a whole system of any domain: it holds event store, Kafka and Postgres to each other. It knows no event, command
// or read model. What a domain's own checks find comes into the same report. There is one checker, for programs, tests and benchmarks; the
// invariants and the report are in kit/doctor.
//
// # How
//
// The log is folded here once more, by the very plans of the projections for rows, by the checks' own code for what a domain promises. A
// running system moves meanwhile: the doctor waits until nothing is owed, as long as Config.Settle, and says so if that never came. I3 needs
// no rest: rows and checkpoints are read in one snapshot, and each partition is folded exactly as far as its checkpoint.
//
// Rows belong to one partition each, so partitions are folded beside one another, and the tables are compared over several
// connections that share the snapshot. All this goes on beside the other invariants, once there is rest or nothing runs.
// Columns are held to each other by 64-bit sums of what they mean: JSON by its members, whatever their order and escapes.
// Report.Took says where the time went.
//
// I6 is about sagas that have come to rest. What is still within its time is counted as moving, not as wrong; a saga that owes something for
// longer than Config.Patience is a finding.
//
// Others may share the event store. Their events have their place in the log, and count for I2 and I8; nothing else is asked of them.
//
// # What it does not do
//
// It repairs nothing and appends nothing. That an acknowledged command is recorded it can only know from the caller:
// Config.Acknowledged. A build of a version that this program does not hold is passed over, and listed as such.
package doctor
