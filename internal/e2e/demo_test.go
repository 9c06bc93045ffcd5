package e2e

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/daybook-dev/daybook/internal/demo"
	"github.com/daybook-dev/daybook/internal/doctor"
	"github.com/daybook-dev/daybook/internal/testenv"
)

const demoFile = "../../../shared/data/online-retail/online-retail-30k.csv"

// TestDemo places 500 invoices of the sample as live orders: every one ends in the right status, the invariants hold, and a
// second run of the same name changes nothing.
func TestDemo(t *testing.T) {
	if _, err := os.Stat(demoFile); err != nil {
		t.Skipf("SKIP demo: the Online Retail sample is not here: %v", err)
	}
	testenv.OnEach(t, func(t *testing.T, s *testenv.Servers) {
		p := testenv.Start(t, testenv.Options{Servers: s, Args: []string{"--provider-timeout", "2s"}})
		demonstrateTwice(t, p, s.Args()...)
	})
}

func demonstrateTwice(t *testing.T, p *testenv.Process, args ...string) {
	t.Helper()
	args = append([]string{"--orders", "500", "--run", "a"}, args...)
	r := demonstrate(t, p, append(args, "--rate", "25")...)
	if r.Ended != 500 || r.Statuses["confirmed"] < 300 || r.Statuses["rejected: payment_declined"] < 10 || r.Statuses["rejected: out_of_stock"] < 10 {
		t.Errorf("%d ended: %v", r.Ended, r.Statuses)
	}
	if r.Statuses["confirmed"]+r.Statuses["rejected: payment_declined"]+r.Statuses["rejected: out_of_stock"] != 500 {
		t.Errorf("ended %v", r.Statuses)
	}
	if r.Doctor == nil || r.Doctor.Checked["orders at rest"] != 500 || r.Doctor.Checked["acknowledged answers"] != 500 {
		t.Errorf("doctor: %+v", r.Doctor)
	}
	again := demonstrate(t, p, append(args, "--rate", "200")...)
	if again.Ended != 500 || again.ProductsAdded != 0 || again.Doctor.Position != r.Doctor.Position {
		t.Errorf("again: %d ended, %d products added, position from %d to %d", again.Ended, again.ProductsAdded, r.Doctor.Position, again.Doctor.Position)
	}
}

type demonstrated struct {
	demo.Report

	Doctor *doctor.Report
}

func demonstrate(t *testing.T, p *testenv.Process, args ...string) (r demonstrated) {
	t.Helper()
	out, errs, err := testenv.Run(t, append([]string{"demo", "--data-dir", p.DataDir, "--json", demoFile}, args...)...)
	if jsonErr := json.Unmarshal([]byte(out), &r); jsonErr != nil {
		t.Fatalf("demo: %v, %v\n%s\n%s", err, jsonErr, out, errs)
	}
	for _, f := range r.Findings {
		t.Errorf("demo: %s", f)
	}
	if r.Doctor != nil {
		for _, f := range r.Doctor.Findings {
			t.Errorf("doctor: %s", f)
		}
	}
	if err != nil {
		t.Errorf("%v\n%.2000s", err, errs)
	}
	t.Logf("%v; %.1f asked, %.1f orders/s placed, %.1f ended; POST p50 %.1f ms, p99 %.1f ms; placed to ended p50 %.1f ms, p99 %.1f ms (prompt payments %.1f and %.1f); asked again %d times",
		r.Statuses, r.RateAsked, r.RatePlaced, r.RateEnded, r.Post.P50, r.Post.P99, r.PlacedToEnded.P50, r.PlacedToEnded.P99, r.Prompt.P50, r.Prompt.P99, r.Retries)
	return r
}
