package e2e_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// What is done at start and at stop is said while it is done, and each server's connection string is shown whole, with the reason
// where its port is another than usual.
func TestStartAndStopAreAnnounced(t *testing.T) {
	t.Parallel()
	p, at := startBesideKafka(t)
	if _, ok := p.Says(0, time.Minute, func(line string) bool { return strings.HasPrefix(line, "Next:") }); !ok {
		t.Fatalf("no banner: %s", p.Output())
	}
	for _, want := range []string{
		"starting the embedded postgres", "starting the embedded event store",
		"postgres://daybook_owner@", "passfile=", "esdb://", at.Kafka, "port 9092 is taken", "secrets",
	} {
		if !strings.Contains(p.Output(), want) {
			t.Errorf("start does not say %q: %s", want, p.Output())
		}
	}
	_, shown, _ := strings.Cut(p.Output(), "postgres://")
	shown, _, _ = strings.Cut(shown, " ")
	conn, err := pgx.Connect(t.Context(), "postgres://"+shown)
	if err != nil {
		t.Fatalf("the address of Postgres is of no use: %v", err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	p.Stop()
	for _, want := range []string{"stopping: requests and batches under way", "stopping the embedded postgres"} {
		if !strings.Contains(p.Output(), want) {
			t.Errorf("stop does not say %q: %s", want, p.Output())
		}
	}
}

type addresses struct{ EventStore, Kafka, Postgres string }

// startBesideKafka runs the program when its usual port for Kafka is taken: by us, or by somebody who may leave it meanwhile.
func startBesideKafka(t *testing.T) (p *testenv.Process, at addresses) {
	t.Helper()
	const usual = "127.0.0.1:9092"
	for range 10 {
		if l, err := net.Listen("tcp", usual); err == nil {
			t.Cleanup(func() { _ = l.Close() })
		}
		p = testenv.Start(t, testenv.Options{Args: []string{"--kafka-listen", ""}})
		p.Addresses(&at)
		if at.Kafka != usual {
			return p, at
		}
		p.Stop()
	}
	t.Fatal(usual, " was free whenever the program started")
	return nil, at
}
