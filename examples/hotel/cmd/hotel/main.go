// Command hotel is the hotel, with an event store, a Kafka and a Postgres beside it, unless their addresses are given.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"example.com/hotel"
	"github.com/daybook-dev/daybook/kit/runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := runtime.Parse("hotel", os.Args[1:])
	if err == nil {
		err = runtime.Run(ctx, hotel.Domain(), cfg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hotel:", err)
		os.Exit(1)
	}
}
