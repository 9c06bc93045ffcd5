package reader

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/topic"
)

// waiters are the queries whose goal has not been reached. However many they are, one look at the checkpoints per change in a
// partition of theirs serves all of them. It runs only while there are some.
type waiters struct {
	reader *Reader
	kick   chan struct{} // a query has begun to wait

	mu         sync.Mutex
	all        map[*waiter]bool
	partitions map[int]int // how many wait for each
	running    bool
}

// waiter is a query that waits. Its goal belongs to the look until wake is closed, or the waiter has left.
type waiter struct {
	view *view
	key  string
	goal *goal
	wake chan struct{} // closed when the query is to try again
}

const (
	everyPartition = -1
	sweepEvery     = 100 * time.Millisecond // finds what no NOTIFY announced
	lookWithin     = 5 * time.Second
)

func newWaiters(r *Reader) *waiters {
	return &waiters{reader: r, kick: make(chan struct{}, 1), all: map[*waiter]bool{}, partitions: map[int]int{}}
}

func (w *waiters) partition(one *waiter) int {
	if one.key == "" {
		return everyPartition
	}
	return w.reader.Partition(one.key)
}

func (w *waiters) enter(one *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[one] = true
	w.partitions[w.partition(one)]++
	select {
	case w.kick <- struct{}{}: // something may have moved since the query's own look
	default:
	}
	if !w.running {
		w.running = true
		go w.run()
	}
}

// leave is also for waiters that have been woken.
func (w *waiters) leave(one *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(one)
}

// remove needs w.mu.
func (w *waiters) remove(one *waiter) {
	if !w.all[one] {
		return
	}
	delete(w.all, one)
	p := w.partition(one)
	if w.partitions[p]--; w.partitions[p] == 0 {
		delete(w.partitions, p)
	}
}

// concerns reports whether a notification may let a waiter go on.
func (w *waiters) concerns(payload string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return payload == topic.CheckpointMoved || w.partitions[everyPartition] > 0 ||
		topic.Moves(payload, func(p int) bool { return w.partitions[p] > 0 })
}

// run looks until no query waits.
func (w *waiters) run() {
	moved, cancel := w.reader.listen(w.concerns)
	defer cancel()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for w.some() {
		select {
		case <-moved:
		case <-w.kick:
		case <-sweep.C:
		}
		// A look that fails is made again: queries end when their time is up.
		_ = w.look()
	}
}

// some ends the run with the last waiter.
func (w *waiters) some() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = len(w.all) > 0
	return w.running
}

// look reads once how far the builds that are waited for have come, and wakes the waiters whose goal is reached, or that have to see
// for themselves why it cannot be.
func (w *waiters) look() error {
	w.mu.Lock()
	names := map[string]bool{}
	for one := range w.all {
		for _, name := range one.view.names {
			names[name] = true
		}
	}
	w.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
	defer cancel()
	found, state, err := w.reader.standing(ctx, slices.Sorted(maps.Keys(names)))
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.all {
		if one.waits(names, found, state) {
			continue
		}
		w.remove(one)
		close(one.wake)
	}
	return nil
}

func (one *waiter) waits(asked map[string]bool, found map[string]live, state topic.State) bool {
	for _, name := range one.view.names {
		if !asked[name] {
			return true // the look began before this one waited
		}
	}
	builds, err := one.view.builds(found)
	if err != nil {
		return false
	}
	s := &snapshot{view: one.view, live: builds, relay: state}
	return one.goal.check(s.reached(one.key), state) != nil
}

// standing is where the builds that serve are, and the relay.
func (r *Reader) standing(ctx context.Context, names []string) (map[string]live, topic.State, error) {
	b := &pgx.Batch{}
	b.Queue(pointed, names)
	b.Queue(topic.StateSQL)
	res := r.cfg.Pool.SendBatch(ctx, b)
	found, err := scanLive(res)
	var state topic.State
	if err == nil {
		state, err = topic.ScanState(res.QueryRow())
	}
	if closing := res.Close(); err == nil {
		err = closing
	}
	return found, state, err
}
