// Package bench measures the system beside what the machine itself can do: one INSERT per event through pgx with
// synchronous commit, and a bare write with fdatasync, in the same run.
//
//	order    events, CPU and disk of an order; CPU and memory of a system at rest
//	append   durable appends of one event, by writers that each wait for theirs
//	command  an HTTP command, from 64 clients, to its 201
//	hot      all of them want one SKU, beside as many that spread out
//	saga     orders placed and driven to their end
//	visible  from the answer of a command until the read model shows it
//	replay   the log read back and folded
//	memory   of a whole system under a long load, minute after minute; only if it is named, or quick
//
// # How it measures
//
// The servers are processes of their own, on new directories: an event store, a Postgres, a whole system. The load comes from
// this process, over the network's loopback. What runs inside this process says so: "in process".
//
// Things that are compared are measured in turns, round after round, so that a noisy machine disturbs all alike; the figure is
// the median of the rounds, the ratio one of medians. Percentiles are of all rounds together. Each round begins with a
// warm-up that does not count. CPU and memory are of the process under test and its children, from /proc; the CPU
// that making the load costs is shown apart, because it comes out of the same cores.
//
// Machines differ, and others work on them: absolute figures are worth what the machine's load at the time, which is
// printed, leaves of them.
package bench
