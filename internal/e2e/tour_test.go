package e2e

import (
	"os/exec"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/tour"
)

func TestTourIsTrue(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("SKIP tour: this machine has no curl")
	}
	testenv.OnEach(t, func(t *testing.T, s *testenv.Servers) {
		p := testenv.Start(t, testenv.Options{Servers: s})
		p.HasAll(time.Now().Add(time.Minute)) // a new Kafka takes seconds over the first group
		tour.Check(t, p.Client())
	})
}
