package imports_test

import (
	"testing"

	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/fleet"
)

// TestDemo places 500 invoices of the sample as live orders: every one ends in the right status, the invariants hold, and a
// second run of the same name changes nothing.
func TestDemo(t *testing.T) {
	testenv.Sample(t)
	testenv.OnEach(t, func(t *testing.T, s *testenv.Servers) {
		p := testenv.Start(t, testenv.Options{Servers: s, Args: []string{"--provider-timeout", "2s"}})
		demonstrateTwice(t, p, s.Args()...)
	})
}

func demonstrateTwice(t *testing.T, p *testenv.Process, args ...string) {
	t.Helper()
	args = append([]string{"--orders", "500", "--run", "a"}, args...)
	r := fleet.Demonstrate(t, p, append(args, "--rate", "25")...)
	if r.Ended != 500 || r.Statuses["confirmed"] < 300 || r.Statuses["rejected: payment_declined"] < 10 || r.Statuses["rejected: out_of_stock"] < 10 {
		t.Errorf("%d ended: %v", r.Ended, r.Statuses)
	}
	if r.Statuses["confirmed"]+r.Statuses["rejected: payment_declined"]+r.Statuses["rejected: out_of_stock"] != 500 {
		t.Errorf("ended %v", r.Statuses)
	}
	if r.Doctor == nil || r.Doctor.Checked["orders at rest"] != 500 || r.Doctor.Checked["acknowledged answers"] != 500 {
		t.Errorf("doctor: %+v", r.Doctor)
	}
	again := fleet.Demonstrate(t, p, append(args, "--rate", "200")...)
	if again.Ended != 500 || again.ProductsAdded != 0 || again.Doctor.Position != r.Doctor.Position {
		t.Errorf("again: %d ended, %d products added, position from %d to %d", again.Ended, again.ProductsAdded, r.Doctor.Position, again.Doctor.Position)
	}
}
