package eventservertest_test

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/kit/eventserver"
	"github.com/daybook-dev/daybook/kit/eventserver/eventservertest"
)

func count(t *testing.T, connection string) (n int) {
	t.Helper()
	config, err := esdb.ParseConnectionString(connection)
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = func(esdb.LogLevel, string, ...any) {}
	c, err := esdb.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.AppendToStream(t.Context(), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}},
		esdb.EventData{EventType: "t", ContentType: esdb.ContentTypeBinary}); err != nil {
		t.Fatal(err)
	}
	r, err := c.ReadStream(t.Context(), "s", esdb.ReadStreamOptions{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		if _, err := r.Recv(); err != nil {
			return n
		}
		n++
	}
}

// TestStart: each store is the test's own; a data directory outlives its server.
func TestStart(t *testing.T) {
	t.Parallel()
	a, b := eventservertest.Start(t), eventservertest.Start(t)
	if a == b || count(t, a) != 1 || count(t, b) != 1 || count(t, a) != 2 {
		t.Errorf("%s and %s are not two stores", a, b)
	}
	dir := t.TempDir()
	for i := range 2 {
		s := eventservertest.StartWith(t, eventserver.Config{Dir: dir})
		if n := count(t, s.ConnectionString()); n != i+1 {
			t.Errorf("%d events at start %d", n, i)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestItEndsWithTheTest: nothing listens any more when the test is over.
func TestItEndsWithTheTest(t *testing.T) {
	t.Parallel()
	var s *eventserver.Server
	t.Run("a test", func(t *testing.T) { s = eventservertest.StartWith(t, eventserver.Config{}) })
	select {
	case <-s.Done():
	default:
		t.Error("the store lives on")
	}
}
