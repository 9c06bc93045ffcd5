package main

import (
	"context"
	"os"
	"testing"
)

// What ends with the context announces that a second signal ends the process, so by then signals must no longer be caught.
func TestSignalsAreNoLongerCaughtWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	var (
		ctx      context.Context
		signals  chan<- os.Signal
		released = make(chan bool, 1) // whether the context had ended already
	)
	ctx = untilFirst(func(c chan<- os.Signal) { signals = c }, func(c chan<- os.Signal) {
		if c != signals {
			t.Error("another handler was removed")
		}
		released <- ctx.Err() != nil
	})
	if ctx.Err() != nil {
		t.Fatal("it ended without a signal")
	}
	signals <- os.Interrupt
	<-ctx.Done()
	select {
	case late := <-released:
		if late {
			t.Error("the context ended before the handler was removed")
		}
	default:
		t.Error("the context ended, and the handler is not removed")
	}
}
