package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/fleet"
	"github.com/daybook-dev/daybook/internal/testenv/market"
	"github.com/daybook-dev/daybook/internal/testenv/tour"
	"github.com/daybook-dev/daybook/internal/topic"
)

// Every role is a process of its own, on one event store, one broker, one Postgres, one simulator.
func TestEveryRoleAProcess(t *testing.T) {
	t.Parallel()
	testenv.Sample(t)
	f := fleet.Start(t, 1)
	tour.On(t, f.API)
	f.StartDemo("--orders", "100", "--rate", "20", "--run", "apart").End(t, 100)
	market.Examine(t, "--data-dir", f.Dir)
}

// pairs is a fleet of two processes of every role.
type pairs struct {
	*fleet.Fleet

	t *testing.T
}

// Two processes of every role. One of each is killed, one after another, in the middle of a demo; they come back, and the other
// of each is killed, all at the same moment. The work is taken over each time, and nothing is lost or done twice.
func TestOneOfEveryPairIsKilled(t *testing.T) {
	t.Parallel()
	testenv.Sample(t)
	f := &pairs{fleet.Start(t, 2), t}
	tour.On(t, f.API)
	f.share()
	trade := f.trade()
	var fallen []*fleet.Member
	for _, role := range append(fleet.Engines(), fleet.APIs()...) {
		victim, heir := f.Pair(role)
		trade.goOn()
		from := len(heir.Process.Output())
		killed := time.Now()
		victim.Process.Kill()
		fallen = append(fallen, victim)
		took := f.takenOver(heir, from, killed)
		t.Logf("%s was killed; %s had taken over after %s", victim, heir, took.Round(time.Millisecond))
		if took > fleet.TakeoverWithin {
			t.Errorf("%s took over after %s", heir, took)
		}
	}
	for _, m := range fallen {
		m.Begin()
	}
	for _, m := range fallen {
		m.Process.Ready()
	}
	f.share()
	trade.goOn()
	f.allAtOnce(fallen)
	trade.demo.End(t, trade.orders)
	market.Examine(t, "--data-dir", f.Dir)
}

// trade is a demo; when it has ended, another one.
type trade struct {
	f      *pairs
	n      int
	orders int
	demo   *fleet.Demoed
}

func (f *pairs) trade() *trade {
	f.t.Helper()
	w := &trade{f: f, orders: 400}
	w.begin()
	return w
}

func (w *trade) begin() {
	w.f.t.Helper()
	w.n++
	run := fmt.Sprint("pairs-", w.n)
	w.demo = w.f.StartDemo("--orders", strconv.Itoa(w.orders), "--rate", "8", "--run", run)
	w.f.underway(w.demo, run, 40)
}

// goOn sees to it that orders are being placed, however long it took to come here.
func (w *trade) goOn() {
	w.f.t.Helper()
	select {
	case <-w.demo.Done:
		w.demo.End(w.f.t, w.orders)
		w.orders = 200
		w.begin()
	default:
	}
}

// allAtOnce kills the other of each pair.
func (f *pairs) allAtOnce(heirs []*fleet.Member) {
	f.t.Helper()
	var from []int
	var all sync.WaitGroup
	for _, h := range heirs {
		from = append(from, len(h.Process.Output()))
	}
	killed := time.Now()
	for _, h := range heirs {
		for _, m := range f.Members[h.Role] {
			if m != h {
				all.Go(m.Process.Kill)
			}
		}
	}
	all.Wait()
	took := make([]time.Duration, len(heirs))
	for i, h := range heirs {
		all.Go(func() { took[i] = f.takenOver(h, from[i], killed) })
	}
	all.Wait()
	for i, h := range heirs {
		f.t.Logf("one of every pair was killed at once; %s had taken over after %s", h, took[i].Round(time.Millisecond))
		if took[i] > fleet.TakeoverWithin {
			f.t.Errorf("%s took over after %s", h, took[i])
		}
	}
}

// takenOver is how long after the death of the other an heir has all its work, or a minute.
func (f *pairs) takenOver(heir *fleet.Member, from int, killed time.Time) time.Duration {
	const patience = time.Minute
	var at time.Time
	switch heir.Role {
	case app.RoleRelay:
		at, _ = heir.Process.Says(from, patience, func(line string) bool { return strings.Contains(line, fleet.Active) })
	case app.RoleProjections, app.RoleSagas, app.RoleReactors:
		at, _ = heir.Process.Says(from, patience, func(line string) bool { return testenv.Assigned(line, heir.Role) == topic.DefaultPartitions })
	default:
		// Both the read and the written side, through every balancer on the way.
		var err error
		if at, err = answersWithin(f.t.Context(), f.API+"/v1/orders?limit=1", patience); err != nil {
			f.t.Error(err)
		}
	}
	return at.Sub(killed)
}

// share waits until the consumers of each pair share the partitions.
func (f *pairs) share() {
	f.t.Helper()
	for _, role := range fleet.Engines()[1:] {
		for _, m := range f.Members[role] {
			until := time.Now().Add(time.Minute)
			for n := testenv.PartitionsOf(m.Process.Output(), role); n == 0 || n == topic.DefaultPartitions; n = testenv.PartitionsOf(m.Process.Output(), role) {
				if time.Now().After(until) {
					f.t.Fatalf("%s has %d partitions", m, n)
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
}

// underway waits until some orders of the demo have been placed.
func (f *pairs) underway(d *fleet.Demoed, run string, n int) {
	f.t.Helper()
	s := market.New(strings.TrimPrefix(f.API, "http://"))
	until := time.Now().Add(time.Minute)
	for {
		select {
		case <-d.Done:
			f.t.Fatalf("the demo has ended: %v", d.Err)
		default:
		}
		a, err := s.Client.Do(f.t.Context(), "GET", "/v1/orders?limit=200", "")
		if err == nil && strings.Count(string(a.Body), `"id":"demo-`+run+`-`) >= n {
			return
		}
		if time.Now().After(until) {
			f.t.Fatal("the demo does not come to place orders")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// answersWithin asks for something of an API until it is answered, and says when that was.
func answersWithin(ctx context.Context, url string, within time.Duration) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var last error
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return time.Time{}, err
		}
		res, err := client.Do(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode < http.StatusInternalServerError {
				return time.Now(), nil
			}
			err = errors.New(res.Status)
		}
		last = err
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return time.Now(), fmt.Errorf("%s: %w", url, last)
}
