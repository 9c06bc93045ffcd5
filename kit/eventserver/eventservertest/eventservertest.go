// Package eventservertest starts an event store for a test, in a line:
//
//	connection := eventservertest.Start(t)
//
// It speaks EventStoreDB's protocol, so whatever client the test is about connects to it as to a real one. Each store is the test's
// own, on a free port of the loopback interface, empty but for the system event that names its history, and gone with the test;
// tests may run in parallel. It keeps its events in memory: nothing is left behind, and no append waits for a disk.
package eventservertest

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/daybook-dev/daybook/kit/eventserver"
)

// Start starts a store that lives as long as the test, and gives the connection string for clients, esdb://127.0.0.1:PORT?tls=false.
// Everybody may do everything in it.
func Start(tb testing.TB) string {
	tb.Helper()
	return StartWith(tb, eventserver.Config{}).ConnectionString()
}

// StartWith starts a store as configured: with TLS and users, say, or with a data directory, which outlives it and may be
// served again. It is closed with the test, if the test has not closed it; whatever ended it otherwise fails the test. Without Dir it
// is kept in memory.
func StartWith(tb testing.TB, cfg eventserver.Config) *eventserver.Server {
	tb.Helper()
	if cfg.Dir == "" {
		cfg.Dir = "data"
		if cfg.Store.FS == nil {
			cfg.Store.FS = vfs.NewMem()
		}
	}
	s, err := eventserver.Start(context.WithoutCancel(tb.Context()), cfg)
	if err != nil {
		tb.Fatalf("start an event store: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("event store: %v", err)
		}
	})
	return s
}
