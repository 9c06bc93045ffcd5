package store

import (
	"fmt"
	"runtime"
	"strings"
)

// pebbleLogger takes pebble's own messages. Where pebble would end the process, the goroutine ends and the store becomes
// read-only: the program that embeds the store stays alive and goes on reading.
type pebbleLogger struct{ s *Store }

// Infof implements pebble.Logger.
func (l pebbleLogger) Infof(format string, args ...any) {
	l.s.log.Debug("pebble: " + strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// Errorf implements pebble.Logger.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.s.log.Error("pebble: " + strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// Fatalf implements pebble.Logger; it must not return.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.s.fail(fmt.Errorf("%w: %s", ErrReadOnly, strings.TrimSpace(fmt.Sprintf(format, args...))))
	runtime.Goexit()
}
