package onlineretail

import (
	"context"
	"sync"
)

// flow bounds how many streams are written at once: one more after as many successes as there are, half of them after a failure.
type flow struct {
	most int

	mu    sync.Mutex
	room  int // now
	used  int
	good  int // successes since room last changed
	queue []chan struct{}
}

func newFlow(most int) *flow { return &flow{most: most, room: max(1, most/2)} }

func (f *flow) enter(ctx context.Context) error {
	f.mu.Lock()
	if f.used < f.room && len(f.queue) == 0 {
		f.used++
		f.mu.Unlock()
		return ctx.Err()
	}
	turn := make(chan struct{})
	f.queue = append(f.queue, turn)
	f.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done(): // the whole import ends: its turn is not passed on
		return ctx.Err()
	}
}

func (f *flow) leave(well bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used--
	switch {
	case !well:
		f.room, f.good = max(1, f.room/2), 0
	case f.good < f.room:
		f.good++
	default:
		f.room, f.good = min(f.most, f.room+1), 0
	}
	for f.used < f.room && len(f.queue) > 0 {
		close(f.queue[0])
		f.queue = f.queue[1:]
		f.used++
	}
}
