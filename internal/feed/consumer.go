package feed

import (
	"context"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/kit/es"
)

// Consumer is an engine that is fed: the projections of a process, its sagas, its reactors.
// Calls for different partitions come concurrently, those for one partition one after another.
type Consumer interface {
	// Name is the consumer group: "projections".
	Name() string
	// Checkpoints says up to which position everything of each partition has been applied. It is asked
	// when partitions are assigned, and again after an error of Apply.
	Checkpoints(ctx context.Context, partitions []int) (map[int]uint64, error)
	// Apply takes the next events of a partition, in order, and everything the partition has between after and
	// the last of them. It moves the checkpoint from after to that last position in the transaction that keeps
	// what the events did. ErrFenced: somebody else moved it. After any error the same events come again, with backoff, until they are applied.
	Apply(ctx context.Context, partition int, after uint64, events []es.Record) error
	// Own is called once per assignment and runs beside Apply until ctx ends, when the partition is given up;
	// it may return at once.
	Own(ctx context.Context, partition int)
}

// Selective is a Consumer that knows which events change nothing of it but its checkpoint. Those may wait for others to come, so
// that one transaction moves the checkpoint past many; they are applied all the same, and before anything behind them.
type Selective interface {
	Consumer
	// Concerns must be quick, and may err towards true. It is asked by the goroutine that applies the partition.
	Concerns(partition int, event es.Record) bool
}

// Several is a Consumer with several checkpoints in each partition, of which Checkpoints gives the lowest.
type Several interface {
	Consumer
	// Farthest is the highest of a partition, as Checkpoints last read it or Apply moved it.
	Farthest(partition int) uint64
}

// ErrFenced says that another worker moved the checkpoint: whatever was cached about the partition is stale.
var ErrFenced = checkpoint.ErrFenced
