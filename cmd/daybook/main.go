// Command daybook is an order backend that forgets nothing: every role of it, and the tools around.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // a container may have none
)

// version is set when the program is built for release.
var version = "0.1.0"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the program at once
	err := command(os.Stdout, os.Stderr).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "daybook:", err)
		if errors.Is(err, context.Canceled) {
			os.Exit(130) // as a shell has it for an interrupt
		}
		os.Exit(1)
	}
}
