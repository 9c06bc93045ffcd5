package orchestrator

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/feed"
)

var _ feed.Several = (*Orchestrator)(nil)

// Prepare makes the checkpoints of sagas that have none, at the positions where they were deployed, and refuses to go on with those of another
// event store, another number of partitions or another filter. What sagas without checkpoints owe according to the log is written first.
// It is called before anything serves.
func (o *Orchestrator) Prepare(ctx context.Context) error {
	if err := o.restore(ctx); err != nil {
		return err
	}
	return o.checkpoints.Begin(ctx, o.cfg.First)
}

// Checkpoints says up to where all sagas have heard each partition.
func (o *Orchestrator) Checkpoints(ctx context.Context, partitions []int) (map[int]uint64, error) {
	return o.checkpoints.Lowest(ctx, partitions)
}

// Farthest implements feed.Several.
func (o *Orchestrator) Farthest(partition int) uint64 { return o.checkpoints.Farthest(partition) }

// Forget removes what the sagas have heard and what they wait for: both are found again from the first positions on. Inputs that an
// instance holds already change nothing, and effects keep their ids.
func Forget(ctx context.Context, tx pgx.Tx) error {
	if err := checkpoint.Forget(ctx, tx, checkpoint.Saga); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `delete from daybook.saga_instance`)
	return err
}
