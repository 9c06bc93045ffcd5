package e2e

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/daybook-dev/daybook/internal/bench"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// TestBench sees every benchmark come to its figures. What they are is not held to anything here.
func TestBench(t *testing.T) {
	out, errs, err := testenv.Run(t, "bench", "--quick", "--dir", testenv.DataDir(t), "--json")
	if err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	var r bench.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	ratios := 0
	for _, row := range r.Rows {
		if row.PerSecond <= 0 || len(row.Rounds) == 0 {
			t.Errorf("%+v", row)
		}
		if row.Ratio > 0 {
			ratios++
		}
	}
	for _, name := range []string{"append", "command", "hot SKU", "saga", "visible", "replay"} {
		if !slices.ContainsFunc(r.Rows, func(row bench.Row) bool { return row.Bench == name }) {
			t.Errorf("nothing of %s", name)
		}
	}
	if n := len(r.Memory); n == 0 || r.Memory[n-1].Orders == 0 || r.Memory[n-1].Process <= 0 || r.Memory[n-1].Postgres <= 0 {
		t.Errorf("of memory under load: %+v", r.Memory)
	}
	if ratios < 15 || r.Machine.Postgres == "" || r.Machine.Cores == 0 {
		t.Errorf("%d ratios, on %+v", ratios, r.Machine)
	}
}
