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
// Only what changed is written. A row that the events leave as it was is not, and an event of another stream that leaves it so makes no
// version of it. A version does not repeat a wide column that it left as it was: the column beside it names the version that wrote it
// last, in the live row too, so that the next version knows without a look at the history. Rows that are made once are neither loaded
// nor kept twice.
//
// # Groups
//
// The builds that are fed together in a partition are its group, and have one checkpoint in common: a row of
// daybook.projection_group with a position and an epoch. A build is a member as long as it has no row of its own in
// daybook.projection_checkpoint; a reader of how far a build is uses daybook.projection_progress, which knows both.
//
// In every committed state a build's rows are the fold of its partition up to one position: that of its own row, where it has one, else
// that of the group. So each transaction that writes rows of a build moves exactly the checkpoint that the build has in it, a build that
// leaves gets its own row at the position its rows have, and one that joins loses it when its rows have the group's position.
//
// A batch moves the group's row only from the position and the epoch that it was made for, which both locks it and tells
// whether it was there. Each change of members gives the row a new epoch, never used before, and is committed
// synchronously. So a worker that was thought dead waits at the locked row, finds it moved, and its batch is given up
// (feed.ErrFenced), also where the position is the same and only the members are others. Nothing about rows is kept between
// batches, so there is nothing to go stale. Locks are taken in one order: groups by partition, then builds' own rows, then tables.
//
// synchronous_commit is off: a crash of Postgres may take back the last batches, rows and checkpoint together, and feed
// brings them again. It is on for builds and pointers.
//
// # Builds
//
// A build is one run of one version of a projection's code over the log, in a schema of its own. The pointer says which
// build serves. At start every version that the process knows gets a build if it has none:
//
//	none ──▶ apart ───────────────▶ member ─────────────────────▶ serving ──▶ replaced
//	         has a checkpoint of    │  fed with the others, by   pointer     still fed where
//	         its own, and goes by   │  one batch                             its code is registered
//	         itself from the log    │
//	           ▲                    │
//	           └──── in trouble ────┘
//
// A build that goes by itself is fed from the event store, by transactions and connections that no other build waits for. Close
// behind its group it joins: it locks the group for the moment that the few events between take, so that it is exactly
// where the others are. A worker that is given a partition first puts out the members whose code it does not have. The first build
// of a projection serves at once, and queries wait for positions; a later one is pointed to, in one transaction, when it has come
// as far as the one before it in every partition. A build remembers a fingerprint of its tables and events: start refuses code
// that changed without a new version, and builds of another incarnation of the store or another number of partitions.
//
// # Trouble
//
// No read model waits for another. An event that a build cannot decode or fold, a row that Postgres refuses, a table that is locked
// or slow (limits.go says how long is too long) is that build's trouble: it leaves the group, in the same transaction that writes the
// batch for the others, and if that cannot be committed either, it stays. It goes on by itself, each second anew where it fails,
// comes as far as it can, and may join again after a while that is longer each time. Waiting for the group's row, or a Postgres
// that is away, full or slow for most, is the fault of no build. A build that is alone in its group and in trouble with its tables fails its batch:
// feed tries again until it succeeds. The worker's Health names the builds that are held up by themselves.
//
// # Parking
//
// An event that a build by itself cannot apply to a row parks that row: a line of daybook.projection_parked for the event, and one for each
// that comes for the row after it. Where it is not known which rows an event is about, everything of its key is parked. All else is applied, and
// the checkpoint moves in the same transaction, so the rows and what is parked are always the log up to it. A build with parked rows stays by
// itself, and the transaction that others share knows nothing of them. Retries and skips are events (package operation), carried out where the feed
// has them. An event of a newer schema parks nothing and stops the build in its partition; one of a type that is not known parks its key in the
// builds that read events of that category.
package worker
