package eventserver_test

import (
	"context"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// start runs a server of its own for the test.
func start(t testing.TB, change ...func(*eventserver.Config)) *eventserver.Server {
	t.Helper()
	cfg := eventserver.Config{Dir: t.TempDir()}
	for _, f := range change {
		f(&cfg)
	}
	s, err := eventserver.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close server: %v", err)
		}
	})
	return s
}

func connect(t testing.TB, s *eventserver.Server) *esdb.Client {
	t.Helper()
	return clienttest.Connect(t, s.ConnectionString())
}
