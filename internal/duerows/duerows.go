// Package duerows tells the owners of partitions that some of their rows are due. The owners in a process share one question per period,
// however many partitions there are: most have nothing due most of the time, and twelve questions a second that are answered "none" cost more
// than all else that an idle engine does.
//
// It only wakes. An owner that is woken looks for itself, at its own partition, and once when it begins. If the question fails all owners
// are woken: each then finds out, and says, what is wrong with its partition.
package duerows

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/internal/beat"
)

// Watch asks for the owners of a process.
type Watch struct {
	every time.Duration
	ask   func(ctx context.Context, partitions []int) (due []int, err error)

	mu     sync.Mutex
	owners map[*owner]struct{}
	stop   context.CancelFunc // of the goroutine that asks, while there is an owner
}

type owner struct {
	partition int
	wake      chan struct{}
}

// New gives a watch. ask names those of some partitions that have rows due; every is how often it is called.
func New(every time.Duration, ask func(ctx context.Context, partitions []int) (due []int, err error)) *Watch {
	return &Watch{every: every, ask: ask, owners: map[*owner]struct{}{}}
}

// Own gives what wakes an owner of a partition, until release is called. A partition may have several for a while.
func (w *Watch) Own(partition int) (wake <-chan struct{}, release func()) {
	o := &owner{partition: partition, wake: make(chan struct{}, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.owners[o] = struct{}{}; w.stop == nil {
		var ctx context.Context
		ctx, w.stop = context.WithCancel(context.Background())
		go w.run(ctx)
	}
	return o.wake, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.owners, o); len(w.owners) == 0 && w.stop != nil {
			w.stop()
			w.stop = nil
		}
	}
}

// Attend calls round at once and whenever rows of a partition may be due, until ctx ends: when the common question says so, when one of the two
// wakes does, which may be nil, and after the time that the last round gave; 0: it gave none.
func (w *Watch) Attend(ctx context.Context, partition int, notified, wake <-chan struct{}, round func(context.Context) (again time.Duration)) {
	rows, release := w.Own(partition)
	defer release()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		after := round(ctx)
		if again.Stop(); after > 0 {
			again.Reset(after)
		}
		select {
		case <-ctx.Done():
			return
		case <-rows:
		case <-notified:
		case <-wake:
		case <-again.C:
		}
	}
}

// askWithin bounds a question.
const askWithin = 10 * time.Second

func (w *Watch) run(ctx context.Context) {
	for beat.Wait(ctx, w.every) == nil {
		asking, cancel := context.WithTimeout(ctx, askWithin)
		due, err := w.ask(asking, w.partitions())
		cancel()
		w.mu.Lock()
		for o := range w.owners {
			if err != nil || slices.Contains(due, o.partition) {
				select {
				case o.wake <- struct{}{}:
				default: // it has been woken already
				}
			}
		}
		w.mu.Unlock()
	}
}

func (w *Watch) partitions() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []int
	for o := range w.owners {
		all = append(all, o.partition)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
