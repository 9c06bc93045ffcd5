package e2e_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// What is done at start and at stop is said while it is done, and each server's connection string is shown whole, with the reason
// where its port is another than usual.
func TestStartAndStopAreAnnounced(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "127.0.0.1:9092"); err == nil { // else it is taken already, which serves as well
		t.Cleanup(func() { _ = l.Close() })
	}
	p := testenv.Start(t, testenv.Options{Args: []string{"--kafka-listen", ""}})
	var at struct{ EventStore, Kafka, Postgres string }
	p.Addresses(&at)
	if _, ok := p.Says(0, 10*time.Second, func(line string) bool { return strings.HasPrefix(line, "Next:") }); !ok {
		t.Fatalf("no banner: %s", p.Output())
	}
	for _, want := range []string{
		"starting the embedded postgres", "starting the embedded event store",
		"postgres://daybook@", "esdb://", at.Kafka, "port 9092 is taken", "secrets",
	} {
		if !strings.Contains(p.Output(), want) {
			t.Errorf("start does not say %q: %s", want, p.Output())
		}
	}
	p.Stop()
	for _, want := range []string{"stopping: requests and batches under way", "stopping the embedded postgres"} {
		if !strings.Contains(p.Output(), want) {
			t.Errorf("stop does not say %q: %s", want, p.Output())
		}
	}
}
