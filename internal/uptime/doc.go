// Package uptime tells how much of a span of time does not count against somebody who was waited for, because the system itself
// could not have taken the answer.
//
// A partition is caught up to a time when everything recorded in it until then has been relayed and has passed the checkpoints of
// the sagas and the reactors, and no open intent has been overdue since. A Clock samples that once a period and keeps it in one row
// of Postgres. Where the time moves by more than a normal pause, it keeps the span as an outage. So an outage is found by the process that
// runs next, whatever was away: the whole process, the event store, Kafka, Postgres, the relay, the sagas or the reactors.
//
// Down adds up the outages of some partitions. What happened before the row was made is not known, and counts as an outage.
//
// Times of events are the event store's, those of timers a process's, those of the sample the database's: the clocks of the
// machines have to agree to within a second.
package uptime
