package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignalled returns a context that ends with the first SIGINT or SIGTERM.
func untilSignalled() context.Context {
	return untilFirst(func(c chan<- os.Signal) { signal.Notify(c, os.Interrupt, syscall.SIGTERM) }, signal.Stop)
}

// untilFirst returns a context that ends with the first signal. The handler is removed before the context ends, so a second signal
// ends the process at once from the moment at which the log announces it.
func untilFirst(notify, stop func(chan<- os.Signal)) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan os.Signal, 1)
	notify(first)
	go func() {
		<-first
		stop(first)
		cancel()
	}()
	return ctx
}
