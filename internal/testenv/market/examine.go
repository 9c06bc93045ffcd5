package market

import (
	"encoding/json"
	"testing"

	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/kit/doctor"
)

// Examine asks the doctor about a data directory, and fails the test if it finds anything.
func Examine(t testing.TB, args ...string) doctor.Report {
	t.Helper()
	out, errs, err := testenv.Run(t, append([]string{"doctor", "--json"}, args...)...)
	var r doctor.Report
	if jsonErr := json.Unmarshal([]byte(out), &r); jsonErr != nil {
		t.Fatalf("doctor: %v, %v\n%s\n%s", err, jsonErr, out, errs)
	}
	for _, f := range r.Findings {
		t.Errorf("doctor: %s", f)
	}
	if err != nil && len(r.Findings) == 0 {
		t.Errorf("doctor: %v\n%s", err, errs)
	}
	if (err != nil) == r.Healthy {
		t.Errorf("doctor says healthy %t and ends with %v", r.Healthy, err)
	}
	t.Logf("doctor: %d events, at rest %t %v, %v in %.1f s; %v", r.Checked["events"], r.AtRest, r.Moving, r.Checked, r.Seconds, r.Notes)
	return r
}
