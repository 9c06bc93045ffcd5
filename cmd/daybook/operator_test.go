package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/runtime"
)

func TestStatusTable(t *testing.T) {
	part := func(n, events int, seconds float64, state string) runtime.PartitionStatus {
		return runtime.PartitionStatus{Partition: n, Events: events, Seconds: seconds, State: state}
	}
	all := runtime.Projections{Complete: true, Items: []runtime.ProjectionStatus{
		{Name: "customers", Version: 1, State: "current", Partitions: []runtime.PartitionStatus{part(0, 0, 0, "current"), part(1, 0, 0, "current")}},
		{Name: "order_list", Version: 1, State: "behind", Events: 12, Seconds: 31.26, Partitions: []runtime.PartitionStatus{part(0, 0, 0, "current"), part(1, 12, 31.26, "behind")}},
		{Name: "sales", State: "rebuilding"},
	}}
	for _, tt := range []struct {
		verbose, complete bool
		want              string
	}{
		{false, true, "PROJECTION PARTITION EVENTS SECONDS STATE\ncustomers all 0 0.0 current\norder_list 1 12 31.3 behind\nsales all 0 0.0 rebuilding\n"},
		{true, true, "PROJECTION PARTITION EVENTS SECONDS STATE\ncustomers 0 0 0.0 current\ncustomers 1 0 0.0 current\norder_list 0 0 0.0 current\norder_list 1 12 31.3 behind\nsales all 0 0.0 rebuilding\n"},
		{false, false, "PROJECTION PARTITION EVENTS SECONDS STATE\ncustomers all 0 0.0 current\norder_list 1 12+ 31.3 behind\nsales all 0 0.0 rebuilding\n+: at least; not every event that is not applied was counted.\n"},
	} {
		all.Complete = tt.complete
		var out bytes.Buffer
		if err := printStatus(&out, all, tt.verbose); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			got = append(got, strings.Join(strings.Fields(line), " "))
		}
		if got := strings.Join(got, "\n") + "\n"; got != tt.want {
			t.Errorf("verbose %t, complete %t:\n%swant\n%s", tt.verbose, tt.complete, got, tt.want)
		}
	}
}

func TestWhyForPeople(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	why := runtime.Explanation{Next: new(int64(1)), Items: []runtime.RowCause{
		{
			Version: 0, At: noon, RecordedAt: noon.Add(time.Hour), Type: "order.placed", Stream: "order-o1", Revision: 0, Actor: &es.Actor{Kind: "user", ID: "ann"},
			Command: &runtime.CauseOf{ID: "c1", Name: "order.place"}, Answers: &runtime.Answers{Effect: "e1", Instance: "placement-o1"}, Process: "order-o1",
			Changes: []runtime.RowChange{{Pointer: "/status", After: raw(`"placed"`)}, {Pointer: "/note", Before: raw("null"), After: raw("null")}},
		},
		{Version: 1, At: noon, RecordedAt: noon, Type: "order.closed", Stream: "order-o1", Revision: 1, Changes: []runtime.RowChange{}},
		{Version: 2, At: noon, RecordedAt: noon, Type: "order.x", Stream: "order-o1", Revision: 2, Changes: []runtime.RowChange{{Pointer: "/a", Before: raw("1"), After: raw("2")}, {Pointer: "/b", Before: raw("1")}}},
	}}
	const want = `0  2026-01-31T12:00:00Z  order.placed  order-o1@0, recorded 2026-01-31T13:00:00Z
     by user ann, command order.place c1, answers placement-o1, correlation order-o1
     /status: "placed"
     /note: null → null
1  2026-01-31T12:00:00Z  order.closed  order-o1@1
     changes nothing
2  2026-01-31T12:00:00Z  order.x  order-o1@2
     /a: 1 → 2
     /b: 1 → gone
There are more: --after 1
`
	var out bytes.Buffer
	if err := printWhy(&out, why); err != nil || out.String() != want {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{errors.New("x"), 1}, {fmt.Errorf("ended: %w", context.Canceled), 130},
		{fmt.Errorf("why: %w", refusedWith(http.StatusNotFound, []byte(`{"detail":"there is no row x"}`))), 3}, {refusedWith(http.StatusConflict, nil), 4},
		{refusedWith(http.StatusBadRequest, []byte("<html>")), 4}, {refusedWith(http.StatusServiceUnavailable, nil), 5},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
	if err := refusedWith(http.StatusNotFound, []byte(`{"detail":"there is no row x"}`)); err.Error() != "there is no row x" {
		t.Error(err)
	}
}
