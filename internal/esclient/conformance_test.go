package esclient_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/kit/es/estest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// external is the address of a server that is not ours: the same cases run against it.
const external = "DAYBOOK_TEST_EVENTSTORE"

func TestEmbeddedServer(t *testing.T) {
	t.Parallel()
	addr := serve(t, t.TempDir(), "127.0.0.1:0").Addr()
	estest.TestStore(t, func(t *testing.T) estest.Subject {
		c := open(t, addr)
		return estest.Subject{Store: c, Log: c, MaxAppend: 1 << 20, System: true}
	})
}

// TestWithinTheProcess is the same without a network in between.
func TestWithinTheProcess(t *testing.T) {
	t.Parallel()
	server := serve(t, t.TempDir(), "127.0.0.1:0")
	estest.TestStore(t, func(t *testing.T) estest.Subject {
		c := openWith(t, esclient.Config{ConnectionString: server.ConnectionString(), Local: server.Local(), StallAfter: 2 * time.Second})
		return estest.Subject{Store: c, Log: c, MaxAppend: 1 << 20, System: true}
	})
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "daybook") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	server, err := eventserver.Start(t.Context(), eventserver.Config{Dir: t.TempDir(), Socket: socket})
	if err != nil {
		t.Fatalf("start the event store server: %v", err)
	}
	t.Cleanup(func() { _ = server.Close() })
	estest.TestStore(t, func(t *testing.T) estest.Subject {
		c := openWith(t, esclient.Config{ConnectionString: server.ConnectionString(), Socket: socket, StallAfter: 2 * time.Second})
		return estest.Subject{Store: c, Log: c, MaxAppend: 1 << 20, System: true}
	})
}

func TestExternalServer(t *testing.T) {
	t.Parallel()
	to := os.Getenv(external)
	if to == "" {
		t.Skipf("no other event store to test against: %s is not set", external)
	}
	estest.TestStore(t, func(t *testing.T) estest.Subject {
		c := openAt(t, to)
		return estest.Subject{Store: c, Log: c, MaxAppend: 1 << 20, System: true, Shared: true}
	})
}

func serve(t testing.TB, dir, listen string) *eventserver.Server {
	t.Helper()
	s, err := eventserver.Start(t.Context(), eventserver.Config{Dir: dir, Listen: listen})
	if err != nil {
		t.Fatalf("start the event store server: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func open(t testing.TB, addr string) *esclient.Client {
	t.Helper()
	return openAt(t, "esdb://"+addr+"?tls=false")
}

func openAt(t testing.TB, to string) *esclient.Client {
	t.Helper()
	return openWith(t, esclient.Config{ConnectionString: to, StallAfter: 2 * time.Second})
}

func openWith(t testing.TB, cfg esclient.Config) *esclient.Client {
	t.Helper()
	c, err := esclient.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("open the event store's client: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
