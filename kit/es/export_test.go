package es

import (
	"context"
	"fmt"
)

// CheckLanes says what is wrong with the lanes of an idle handler, and how many there are.
func CheckLanes(h *Handler) (n int, err error) {
	n, inUse, _ := h.lanes.Kept()
	if inUse != 0 {
		return 0, fmt.Errorf("%d lanes are in use", inUse)
	}
	return n, nil
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
	defer h.lanes.Leave(s)
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
	defer h.lanes.Leave(l.stream)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p := &pending[S]{ctx: ctx, decision: d, call: Call{ID: randomUUID()}, done: make(chan struct{})}
	l.submit(p)
	<-p.done
}
