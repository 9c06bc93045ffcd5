package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/doctor/doctortest"
	"github.com/daybook-dev/daybook/kit/doctor"
)

func config(w *doctortest.World) Config {
	return Config{Log: w.Store, Catalog: w.Catalog, Sagas: w.Machines, Settle: time.Nanosecond, Patience: time.Nanosecond}
}

func look(t testing.TB, cfg Config) *doctor.Report {
	t.Helper()
	r, err := Examine(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// finds expects a finding of an invariant that says all of some words.
func finds(t testing.TB, r *doctor.Report, invariant string, words ...string) {
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
