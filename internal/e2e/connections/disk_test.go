package connections_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/embedded/diskspace/diskspacetest"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/market"
)

// The disk of a whole system fills up while orders are placed, little by little and then to the last byte. No order is acknowledged
// that is not kept, /readyz names each server that lacks space, and once there is space again all goes on by itself.
func TestFullDiskUnderTrade(t *testing.T) {
	t.Parallel()
	disk := diskspacetest.Mount(t, 800<<20)
	p := testenv.Start(t, testenv.Options{DataDir: disk + "/data", Args: testenv.AnyPorts()})
	s := market.New(strings.TrimPrefix(p.API, "http://"))
	if err := s.Stocked(t.Context(), "PLENTY", 100_000); err != nil {
		t.Fatal(err)
	}
	placed := 0
	place := func(within time.Duration) error {
		placed++
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return s.Place(ctx, fmt.Sprintf("order-%d", placed), "tok_approve", "confirmed", testenv.Line("PLENTY", 1))
	}
	for range 5 {
		if err := place(2 * time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for round, leave := range []uint64{8 << 20, 0} {
		diskspacetest.Fill(t, disk, leave)
		named := map[string]bool{}
		for began := time.Now(); len(named) < 3 && time.Since(began) < redWithin; {
			diskspacetest.Fill(t, disk, leave) // also what a reserve gave back
			for name, why := range poll(t, p) {
				if why != "" && (name == app.RoleEventStore || name == app.RolePostgres || name == app.RoleKafka) {
					if !named[name] {
						t.Logf("round %d: %s: %s", round, name, why)
					}
					named[name] = true
				}
			}
		}
		if len(named) < 3 {
			t.Errorf("round %d: only %v are named", round, named)
		}
		id := fmt.Sprintf("refused-%d", round)
		a, err := s.Client.Do(t.Context(), http.MethodPost, "/v1/orders", testenv.Order(id, "tok_approve", testenv.Line("PLENTY", 1)), "Idempotency-Key", id)
		if err == nil && a.Status < http.StatusInternalServerError {
			t.Errorf("round %d: an order on a full disk was answered with %d: %s", round, a.Status, a.Body)
		}
		t.Logf("round %d: an order on a full disk: %d %s %v", round, a.Status, a.Body, err)
		diskspacetest.Free(t, disk)
		t.Logf("round %d: green %s after there was space", round, green(t, p, time.Minute).Round(10*time.Millisecond))
		s.Must(id, "confirmed") // what was refused is placed now, under the same key, once
		if err := s.Command(t.Context(), "/v1/orders", id, testenv.Order(id, "tok_approve", testenv.Line("PLENTY", 1))); err != nil {
			t.Error(err)
		}
		if err := place(2 * time.Minute); err != nil {
			t.Error(err)
		}
	}
	s.Ended(t, market.EndWithin)
	s.StillTrue(t)
	if r := market.Examine(t, "--data-dir", p.DataDir); r.Checked["orders"] != s.Orders() {
		t.Errorf("the doctor has seen %d orders of %d", r.Checked["orders"], s.Orders())
	}
}
