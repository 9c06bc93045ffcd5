package connections_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/market"
)

// Connections that are open and carry nothing, for longer than any request may take: each is answered all the same, and within its
// time, by a part that still works.
func TestNothingHangsPastItsDeadline(t *testing.T) {
	t.Parallel()
	f, links := startLinked(t)
	dead := func(from, to string) (heal func()) {
		for _, l := range links {
			if l.from == from && l.to == to {
				return l.suffer(t, halfOpen)
			}
		}
		t.Fatalf("there is no link from %s to %s", from, to)
		return nil
	}
	s := market.New(strings.TrimPrefix(f.API, "http://"))
	measured := &gauge{under: &http.Transport{MaxIdleConnsPerHost: 64}}
	s.Client.HTTP = &http.Client{Transport: measured, Timeout: 90 * time.Second}
	if err := s.Stocked(t.Context(), "PLENTY", 1000); err != nil {
		t.Fatal(err)
	}
	if err := s.Place(t.Context(), "before", "tok_approve", "confirmed", testenv.Line("PLENTY", 1)); err != nil {
		t.Fatal(err)
	}
	s.Ended(t, time.Minute)
	for round, ways := range [][][2]string{
		{{app.RoleGateway, app.RoleCommandAPI}, {app.RoleGateway, app.RoleQueryAPI}},
		{{app.RoleCommandAPI, "event store"}, {app.RoleQueryAPI, "Postgres"}},
		{{app.RoleCommandAPI, "Postgres"}},
	} {
		var heal []func()
		for _, w := range ways {
			heal = append(heal, dead(w[0], w[1]))
		}
		began := time.Now()
		var all sync.WaitGroup
		for i, headers := range [][]string{nil, {"Prefer", "wait=2"}} {
			all.Go(func() {
				id := fmt.Sprintf("during-%d-%d", round, i)
				body := testenv.Order(id, "tok_approve", testenv.Line("PLENTY", 1))
				_, _ = s.Client.Do(t.Context(), http.MethodPost, "/v1/orders", body, append(headers, "Idempotency-Key", "place-"+id)...)
			})
		}
		paths := []string{"/v1/orders/before", "/v1/orders", "/v1/stock/PLENTY", "/v1/reports/sales?by=day"}
		if len(ways) > 1 { // else it begins, and goes on
			paths = append(paths, "/v1/orders/before/events")
		}
		for _, path := range paths {
			all.Go(func() { _, _ = s.Client.Do(t.Context(), http.MethodGet, path, "") })
		}
		all.Wait()
		for _, h := range heal {
			h()
		}
		calls := measured.during(began, time.Now())
		t.Logf("%v: %s", ways, tally(calls))
		for _, c := range calls {
			t.Logf("    %-32s answered %d after %5d ms of %s", c.what, c.status, c.took.Milliseconds(), c.allowed)
		}
		if calls[0].took < 5*time.Second {
			t.Errorf("%v: the slowest call took %s: nothing was dead", ways, calls[0].took)
		}
	}
	measured.report(t)
	// And all is as before, at once or nearly so.
	within, cancel := context.WithTimeout(t.Context(), market.EndWithin)
	defer cancel()
	if err := s.Place(within, "after", "tok_approve", "confirmed", testenv.Line("PLENTY", 1)); err != nil {
		t.Error(err)
	}
	s.Ended(t, market.EndWithin)
}
