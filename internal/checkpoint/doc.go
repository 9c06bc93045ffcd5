// Package checkpoint holds every checkpoint in Postgres to the end of the log.
//
// A checkpoint says that everything up to a position has been published or applied. One beyond the end of the log claims
// events that do not exist; its owner would drop every event up to there as a duplicate. Horizon refuses such a position
// before a checkpoint moves there, Ahead finds those that are there already. The log only grows within an
// incarnation, so a position that was read before the log's end, and is beyond it, is wrong and not merely early.
//
// Origin is what positions are about: the incarnation of the store, the number of partitions, and the number of the filter that says what is
// relayed. The relay's row, every build of a read model and every row of a Set state theirs; so does every message. What was made under another
// origin is refused in the same words everywhere, with the command that begins anew.
//
// Set is the checkpoints of all sagas, or of all reactors, of a process: a name may be ahead of another in the same partition. They move by
// compare-and-set only. The builds of read models have a checkpoint in common, and leave and join it (internal/worker); their rows are of
// another shape.
package checkpoint
