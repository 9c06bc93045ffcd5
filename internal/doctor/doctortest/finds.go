package doctortest

import (
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/kit/doctor"
)

// Finds expects a finding of an invariant that says all of some words.
func Finds(t testing.TB, r *doctor.Report, invariant string, words ...string) {
	t.Helper()
	for _, f := range r.Findings {
		text, all := f.String(), f.Invariant == invariant
		for _, w := range words {
			all = all && strings.Contains(text, w)
		}
		if all {
			return
		}
	}
	t.Errorf("no finding of %s says %q; there are %v", invariant, words, r.Findings)
}
