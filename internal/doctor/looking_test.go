package doctor

import (
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

var finds = doctortest.Finds
