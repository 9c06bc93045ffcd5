package feed

import (
	"context"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/internal/topic"
)

// outlook is what the relay and the consumer say about all partitions of a generation, or why they do not.
type outlook struct {
	began, ended time.Time // everything in it was read between
	relay        topic.State
	checkpoints  map[int]uint64
	ends         map[int]int64 // of the topic, after the relay's state was read: in partitions that are behind it, where it is known
	err          error
}

// question is a partition's for an outlook that began after since.
type question struct {
	since  time.Time
	answer chan outlook // has room for it
}

// ask puts a question. Each partition has at most one without an answer, so it never waits.
func (g *generation) ask(since time.Time) <-chan outlook {
	answer := make(chan outlook, 1)
	g.questions <- question{since, answer}
	return answer
}

// look answers the partitions' questions until ctx ends. Those that are put while it looks share the outlook, however long it took and
// whatever became of it: the partitions together cost one look a second, and a slow one is not repeated for each of them.
func (g *generation) look(ctx context.Context) {
	var last outlook
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-g.questions:
			if !last.began.After(q.since) || time.Since(last.ended) >= g.feed.cfg.Idle/2 {
				last = g.outlook(ctx)
			}
			q.answer <- last
		}
	}
}

// listen ends the rest of the partitions when the relay has moved.
func (g *generation) listen(ctx context.Context) {
	moved, cancel := g.feed.cfg.Moved()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case <-moved:
		}
		if g.rests.CompareAndSwap(true, false) {
			for _, p := range g.partitions {
				hint(p.roused)
			}
		}
	}
}

func (g *generation) outlook(ctx context.Context) (o outlook) {
	o.began = time.Now()
	var behind []int
	g.rests.Store(g.feed.cfg.Moved != nil) // before it reads: what moves meanwhile ends the rest
	defer func() {
		if o.ended = time.Now(); o.err != nil || len(behind) > 0 {
			g.rests.Store(false)
		}
	}()
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if o.relay, o.err = g.feed.cfg.RelayState(asking); o.err != nil {
		o.err = fmt.Errorf("read the relay's state: %w", o.err)
		return o
	}
	if o.checkpoints, o.err = g.feed.readCheckpoints(asking, g.ids()); o.err != nil {
		return o
	}
	if err := g.feed.horizon.Reached(asking, o.relay.Position); err != nil {
		o.err = fmt.Errorf("compare with the relay's checkpoint: %w", err)
		return o
	}
	for id, at := range o.checkpoints {
		if id < len(o.relay.Last) && o.relay.Last[id] > at {
			behind = append(behind, id)
		}
	}
	if len(behind) > 0 {
		o.ends = g.fetcher.ends(asking, behind)
	}
	return o
}
