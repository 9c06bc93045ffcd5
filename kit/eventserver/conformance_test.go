package eventserver_test

import (
	"os"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/eventserver/conformance"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("insecure", func(t *testing.T) {
		t.Parallel()
		conformance.Run(t, start(t).ConnectionString())
	})
	t.Run("secured", func(t *testing.T) {
		t.Parallel()
		conformance.Run(t, as(start(t, secured(t)), "admin", "changeit"))
	})
}

// TestConformanceElsewhere runs the same cases against another server, by its connection string.
func TestConformanceElsewhere(t *testing.T) {
	t.Parallel()
	const external = "DAYBOOK_TEST_EVENTSTORE"
	to := os.Getenv(external)
	if to == "" {
		t.Skipf("no other event store to test against: %s is not set", external)
	}
	conformance.Run(t, to)
}

// secured makes a server a secured one, with a fresh certificate.
func secured(t *testing.T) func(*eventserver.Config) {
	t.Helper()
	cert, key, _ := certificate(t)
	return func(cfg *eventserver.Config) { cfg.CertFile, cfg.KeyFile = cert, key }
}

// as is the connection string of a secured server, for somebody who does not ask for the certificate's origin.
func as(s *eventserver.Server, login, password string) string {
	return strings.Replace(s.ConnectionString(), "esdb://", "esdb://"+login+":"+password+"@", 1) + "&tlsVerifyCert=false"
}
