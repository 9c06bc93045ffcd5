package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// standardOutput remembers that something of it was lost: a file on a full disk must not be taken for the whole answer.
// That a reader has left, as `head` does, is no loss.
type standardOutput struct {
	to  *os.File
	cut error
}

// Write implements io.Writer.
func (o *standardOutput) Write(p []byte) (int, error) {
	n, err := o.to.Write(p)
	if err != nil && o.cut == nil && !errors.Is(err, syscall.EPIPE) {
		o.cut = fmt.Errorf("the output is not whole: %w", err)
	}
	return n, err //nolint:wrapcheck // a writer's own
}
