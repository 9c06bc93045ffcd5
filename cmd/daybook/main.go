// Command daybook is an order backend that forgets nothing: every role of it, and the tools around.
package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // a container may have none

	"github.com/daybook-dev/daybook/internal/embedded/diskspace"
)

// version is set when the program is built for release.
var version = "0.1.0"

func main() {
	ctx := untilSignalled()
	out := &standardOutput{to: os.Stdout}
	ran, err := command(out, os.Stderr).ExecuteContextC(ctx)
	if err == nil && ran.Name() != serveName { // what a server prints is not what it is for
		err = out.cut
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "daybook:", err)
		if advice := diskspace.Advice(err); advice != "" {
			fmt.Fprintln(os.Stderr, "daybook:", advice)
		}
		os.Exit(exitCode(err))
	}
}
