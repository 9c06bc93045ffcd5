// Package health holds what is wrong with a process at this moment, and logs when that changes.
//
//	Board ──▶ Reporter "projections" ──▶ part "partition 3, apply"   nil, or the error of the last look
//	      ──▶ Reporter "relay"       ──▶ part "topic"
//	      ──▶ Reporter "postgres"    ──▶ probe "ping"                asked at every poll
//
// A reporter is one line of /readyz?verbose. A part is one thing the reporter looks at again and again: it has one value, and
// the same look sets and clears it.
//
// # Rules for reporters
//
//   - One part per activity that can fail alone. The success of one activity or partition never clears the failure of another.
//   - The look that failed is repeated by itself, within a second or two, until it succeeds, whether or not there is work to do.
//     A part that is only looked at when an event arrives stays red on an idle system.
//   - A state that can be computed is a probe, not a remembered error.
//   - A part that this process no longer answers for is forgotten: another process reports it.
//   - An error caused by the end of the caller's own context is not reported.
//
// # Not yet
//
// A part that has not done its work for the first time is *NotYet: not ready, but no outage. It carries progress and is not
// logged as a failure.
//
// # In part
//
// A failure that concerns only some of what a reporter serves is *Partial: it is shown and logged as any other, and the reporter
// stays ready. A read model that cannot be written is no reason to take away the process that serves all the others.
//
// # Log
//
// An outage of a reporter begins with its first failing part and ends when none has failed for three seconds. It is logged once when
// it begins, once a minute while it lasts, with the number of failures, and once when it ends. Reporters do not log failures that
// they also set here.
//
// When a reporter fails and recovers again and again, one outage a minute is logged, with the number of outages that were left out. An outage
// that was left out and lasts is logged when the minute is over.
package health
