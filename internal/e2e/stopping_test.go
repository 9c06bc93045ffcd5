package e2e

import (
	"net"
	"testing"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// A process that is told to stop while it waits for a server ends at once, and not in failure.
func TestToldToStopWhileItStarts(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	p := testenv.Start(t, testenv.Options{Roles: "relay", NotReady: true, Args: []string{
		"--eventstore", "esdb://" + silent.Addr().String() + "?tls=false", "--kafka", "127.0.0.1:1", "--postgres", "postgres://127.0.0.1:1/none",
	}})
	waiting, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = waiting.Close() }()
	p.Stop()
}
