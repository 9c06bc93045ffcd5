package es

import (
	"context"
	"fmt"
)

// SetBudget bounds what a handler's lanes may hold, in bytes.
func SetBudget(h *Handler, bytes int) { h.lanes.budget = bytes }

// CheckLanes says what is wrong with the lanes of an idle handler, and how many there are.
func CheckLanes(h *Handler) (n int, err error) {
	h.lanes.mu.Lock()
	defer h.lanes.mu.Unlock()
	weight := 0
	for s, at := range h.lanes.byStream {
		entry := at.Value.(*laneEntry)
		weight += entry.weight
		if entry.users != 0 {
			return 0, fmt.Errorf("lane of %s has %d users", s, entry.users)
		}
	}
	if weight != h.lanes.weight || len(h.lanes.byStream) != h.lanes.recent.Len() {
		return 0, fmt.Errorf("%d lanes weigh %d, remembered are %d that weigh %d", len(h.lanes.byStream), weight, h.lanes.recent.Len(), h.lanes.weight)
	}
	return len(h.lanes.byStream), nil
}

// HasNUL is what refuses text with U+0000 in JSON.
var HasNUL = hasNUL

// Bounds of a batch.
const (
	MaxBatchBytes    = maxBatchBytes
	MaxBatchCommands = maxBatchCommands
)

// Queued is how many commands wait in a stream's lane.
func Queued[S any, P State[S]](h *Handler, s StreamID) int {
	l, err := laneOf[S, P](h, s)
	if err != nil {
		panic(err)
	}
	defer h.lanes.leave(s)
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// Abandon runs a command whose caller leaves once it is queued.
func Abandon[S any, P State[S]](h *Handler, d Decision[S]) {
	l, err := laneOf[S, P](h, streamOf[S, P](d))
	if err != nil {
		panic(err)
	}
	defer h.lanes.leave(l.stream)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p := &pending[S]{ctx: ctx, decision: d, call: Call{ID: randomUUID()}, done: make(chan struct{})}
	l.submit(p)
	<-p.done
}
