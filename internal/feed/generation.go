package feed

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
)

const commitEvery = 5 * time.Second

// generation is one assignment of partitions to this process.
type generation struct {
	feed     *Feed
	gen      *kafka.Generation
	assigned []kafka.PartitionAssignment

	mu      sync.Mutex
	offsets map[int]int64 // where each partition may be resumed

	fetcher    *fetcher
	questions  chan question
	partitions []*partition
	rests      atomic.Bool // the relay has not moved since the last look, which found nothing
}

func newGeneration(f *Feed, gen *kafka.Generation) *generation {
	assigned := gen.Assignments[f.cfg.Topic]
	return &generation{
		feed: f, gen: gen, assigned: assigned, offsets: map[int]int64{},
		fetcher: newFetcher(f, assigned), questions: make(chan question, len(assigned)),
	}
}

func (g *generation) resumeAt(partition int, offset int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.offsets[partition] = offset
}

// run works on the partitions until the generation or the process ends. It must not return before.
func (g *generation) run(ctx, ended context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ended, cancel)
	defer stop()
	g.feed.log.Info("partitions assigned", "partitions", g.ids())

	at, err := g.checkpoints(ctx)
	if err != nil {
		return // ctx ended
	}
	var running sync.WaitGroup
	for _, a := range g.assigned {
		p := newPartition(g, a, at[a.ID])
		g.partitions = append(g.partitions, p)
		g.feed.own(a.ID, p)
		running.Go(func() { p.run(ctx) })
		running.Go(func() { g.feed.cfg.Consumer.Own(ctx, a.ID) })
	}
	if g.feed.cfg.Moved != nil {
		running.Go(func() { g.listen(ctx) })
	}
	running.Go(func() { g.fetcher.run(ctx) })
	running.Go(func() { g.commit(ctx) })
	running.Go(func() { g.look(ctx) })
	running.Wait()
	for _, a := range g.assigned { // another member reports them now
		g.feed.own(a.ID, nil)
		for _, doing := range activities() {
			g.feed.health.Forget(part(a.ID, doing))
		}
	}
}

func (g *generation) ids() []int {
	ids := make([]int, len(g.assigned))
	for i, a := range g.assigned {
		ids[i] = a.ID
	}
	return ids
}

// checkpoints asks the consumer until it answers. An error means that ctx ended.
func (g *generation) checkpoints(ctx context.Context) (map[int]uint64, error) {
	defer g.feed.health.Forget(atCheckpoints)
	for try := 0; ; try++ {
		at, err := g.feed.readCheckpoints(ctx, g.ids())
		if err == nil {
			return at, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		g.feed.health.Set(atCheckpoints, err)
		_ = later.Wait(ctx, try+1)
	}
}

// askWithin bounds one question about checkpoints. A connection that is dead without a word must not hold up a partition.
const askWithin = 10 * time.Second

func (f *Feed) readCheckpoints(ctx context.Context, partitions []int) (map[int]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	at, err := f.cfg.Consumer.Checkpoints(ctx, partitions)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return at, nil
}

// commit tells the broker now and then where a successor may resume. It is a hint: errors do not matter.
func (g *generation) commit(ctx context.Context) {
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	done := map[int]int64{}
	for ending := false; !ending; {
		select {
		case <-ctx.Done():
			ending = true
		case <-tick.C:
		}
		g.mu.Lock()
		now := maps.Clone(g.offsets)
		g.mu.Unlock()
		if !maps.Equal(now, done) && len(now) > 0 {
			if err := g.gen.CommitOffsets(map[string]map[int]int64{g.feed.cfg.Topic: now}); err == nil {
				done = now
			}
		}
	}
}
