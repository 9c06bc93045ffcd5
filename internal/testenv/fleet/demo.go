package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/daybook-dev/daybook/internal/demo"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/kit/doctor"
)

// Demonstrated is what a demo reports.
type Demonstrated struct {
	demo.Report

	Doctor *doctor.Report
}

// Demonstrate runs a demo against a process and fails the test for each of its findings.
func Demonstrate(t *testing.T, p *testenv.Process, args ...string) (r Demonstrated) {
	t.Helper()
	out, errs, err := testenv.Run(t, append([]string{"demo", "--data-dir", p.DataDir, "--json", testenv.Sample(t)}, args...)...)
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

// Demoed is a demo that runs in a process of its own beside the test.
type Demoed struct {
	Done   chan struct{}
	report Demonstrated
	Err    error
}

// StartDemo begins a demo against the fleet. What others sell of the same goods is not looked at.
func (f *Fleet) StartDemo(args ...string) *Demoed {
	d := &Demoed{Done: make(chan struct{})}
	go func() {
		defer close(d.Done)
		out, errs, err := testenv.Run(f.t, append([]string{"demo", "--data-dir", f.Dir, "--api", f.API, "--json", testenv.Sample(f.t)}, args...)...)
		if jsonErr := json.Unmarshal([]byte(out), &d.report); jsonErr != nil {
			d.Err = fmt.Errorf("%w\n%s", errors.Join(err, jsonErr), last(errs, 2000))
			return
		}
		d.Err = err
	}()
	return d
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }

// End waits for the demo and holds it to all that it promises: every order placed and ended right, nothing lost or done twice.
func (d *Demoed) End(t testing.TB, orders int) Demonstrated {
	t.Helper()
	<-d.Done
	r := d.report
	for _, f := range r.Findings {
		t.Errorf("demo: %s", f)
	}
	if d.Err != nil {
		t.Errorf("demo: %v", d.Err)
	}
	if r.Doctor == nil {
		t.Fatal("the doctor has not looked")
	}
	for _, f := range r.Doctor.Findings {
		t.Errorf("doctor: %s", f)
	}
	c := r.Doctor.Checked
	if r.Ended != orders || c["acknowledged answers"] != orders || c["rows"] == 0 || c["kafka records"] == 0 || c["charges"] == 0 {
		t.Errorf("%d ended; the doctor saw %v", r.Ended, c)
	}
	t.Logf("demo: %v; %.1f asked, %.1f orders/s ended; POST p50 %.1f ms, p99 %.1f ms; placed to ended p50 %.1f ms, p99 %.1f ms; asked again %d times; doctor: %v",
		r.Statuses, r.RateAsked, r.RateEnded, r.Post.P50, r.Post.P99, r.PlacedToEnded.P50, r.PlacedToEnded.P99, r.Retries, c)
	return r
}
