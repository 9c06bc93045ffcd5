// Package checkpoint holds every checkpoint in Postgres to the end of the log.
//
// A checkpoint says that everything up to a position has been published or applied. One beyond the end of the log claims
// events that do not exist; its owner would drop every event up to there as a duplicate. Horizon refuses such a position
// before a checkpoint moves there, Ahead finds those that are there already. The log only grows within an
// incarnation, so a position that was read before the log's end, and is beyond it, is wrong and not merely early.
package checkpoint
