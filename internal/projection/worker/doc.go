// Package worker runs projections: it is the consumer that turns what feed brings into rows.
//
// # One transaction per batch
//
// All projections of a process are one consumer. Of a batch of events the worker loads every row they touch at once, folds
// in memory, and writes all rows, the history and the checkpoints back in one transaction:
//
//	begin · move checkpoints · load rows │ fold │ upsert rows · add versions · notify · commit
//
// which is two round trips, for one event as for a thousand, of one partition as of all, and one where no row is touched:
// batches that come while a transaction is under way wait, and go together in the next one. No two partitions have a row in
// common, so one statement serves all. If such a transaction fails, or finds one checkpoint moved, each partition is written
// for itself.
//
// A checkpoint is created at 0 with its build and only ever updated, from the position where the batch begins: that both locks it
// and tells whether it was there. A worker that was thought dead waits at the locked row, finds it moved, and its batch is
// given up (feed.ErrFenced). Nothing about rows is kept between batches, so there is nothing to go stale.
//
// synchronous_commit is off: a crash of Postgres may take back the last batches, rows and checkpoint together, and feed
// brings them again. It is on for builds and pointers.
//
// # Builds
//
// A build is one run of one version of a projection's code over the log, in a schema of its own. The pointer says which
// build serves. At start every version that the process knows gets a build if it has none:
//
//	none ──▶ behind ─────────────────▶ joined ──────────────────────▶ serving ──▶ replaced
//	         catches up from the       fed with the others, by one    pointer     still fed where
//	         event store on its own    batch, in every partition                  its code is registered
//
// In each partition the builds that are furthest lead: they are what feed feeds. One that is behind is left out of batches
// and catches up beside them, chunk by chunk; at the end it locks the leading checkpoints for the moment it takes to
// read the few events between, so that it stands exactly where they do. The first build of a projection serves at once,
// and queries wait for positions; a later one is pointed to, in one transaction, when it has come as far as the one before
// it in every partition. A build remembers a fingerprint of its tables and events: start refuses code that changed without
// a new version, and builds of another incarnation of the store or another number of partitions.
//
// # Failure
//
// An event that cannot be decoded or folded, or whose row Postgres refuses, fails its batch: feed tries again for ever, the
// partition is held up, and the feed's Health names the event. Other partitions go on. What keeps a build from catching up
// is tried again each second and shown by the worker's own Health; the builds that serve do not notice.
package worker
