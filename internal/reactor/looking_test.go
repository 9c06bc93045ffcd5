package reactor

import (
	"context"
	"sync"
	"testing"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/reactor"
)

// A feed looks at all checkpoints while partitions are being applied. What it read before one moved must not be taken for
// where that one is: the worker would be fenced by itself.
func TestLookingFencesNoWorker(t *testing.T) {
	t.Parallel()
	e := engine(t, postgrestest.New(t), nil, asking(func(context.Context, reactor.Task) (reactor.Next, error) { return reactor.Done(), nil }))
	at := checkpointOf(t, e)
	ctx, stop := context.WithCancel(t.Context())
	var looking sync.WaitGroup
	for range 3 {
		looking.Go(func() {
			for ctx.Err() == nil {
				_, _ = e.Checkpoints(ctx, []int{partition})
			}
		})
	}
	for range 300 {
		if err := e.Apply(t.Context(), partition, at, []es.Record{event(at+1, "thing.happened", "a")}); err != nil {
			t.Error(err)
			break
		}
		at++
	}
	stop()
	looking.Wait()
	if now := checkpointOf(t, e); now != at {
		t.Errorf("the checkpoint is %d, not %d", now, at)
	}
}
