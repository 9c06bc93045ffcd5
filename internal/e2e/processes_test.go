package e2e

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/relay"
)

// takeoverWithin is how long the work of a process that was killed may lie still. Its Kafka session counts six seconds of it.
const takeoverWithin = 10 * time.Second

// tourOn walks README's tour at an address.
func tourOn(t *testing.T, api string) {
	t.Helper()
	steps := tour(t)
	for i, printed := range paste(t, steps, api) {
		compare(t, steps[i], printed)
	}
}

func needsDemo(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(demoFile); err != nil {
		t.Skipf("SKIP demo: the Online Retail sample is not here: %v", err)
	}
}

// Every role is a process of its own, on one event store, one broker, one Postgres, one simulator.
func TestEveryRoleAProcess(t *testing.T) {
	t.Parallel()
	needsDemo(t)
	f := startFleet(t, 1)
	tourOn(t, f.api)
	f.startDemo("--orders", "100", "--rate", "20", "--run", "apart").end(t, 100)
	examine(t, "--data-dir", f.dir)
}

// Two processes of every role. One of each is killed, one after another, in the middle of a demo; they come back, and the other
// of each is killed, all at the same moment. The work is taken over each time, and nothing is lost or done twice.
func TestOneOfEveryPairIsKilled(t *testing.T) {
	t.Parallel()
	needsDemo(t)
	f := startFleet(t, 2)
	tourOn(t, f.api)
	f.share()
	const orders = 600
	d := f.startDemo("--orders", "600", "--rate", "8", "--run", "pairs")
	f.underway(d, 40)

	var fallen []*member
	for _, role := range append(engines(), apis()...) {
		victim, heir := f.pair(role)
		from := len(heir.process.Output())
		killed := time.Now()
		victim.process.Kill()
		fallen = append(fallen, victim)
		took := f.takenOver(heir, from, killed)
		t.Logf("%s was killed; %s had taken over after %s", victim, heir, took.Round(time.Millisecond))
		if took > takeoverWithin {
			t.Errorf("%s took over after %s", heir, took)
		}
	}
	for _, m := range fallen {
		m.begin()
	}
	for _, m := range fallen {
		m.process.Ready()
	}
	f.share()
	f.allAtOnce(fallen)
	select {
	case <-d.done:
		t.Error("the demo had ended before all were killed: nothing was shown")
	default:
	}
	d.end(t, orders)
	examine(t, "--data-dir", f.dir)
}

// allAtOnce kills the other of each pair.
func (f *fleet) allAtOnce(heirs []*member) {
	f.t.Helper()
	var from []int
	var all sync.WaitGroup
	for _, h := range heirs {
		from = append(from, len(h.process.Output()))
	}
	killed := time.Now()
	for _, h := range heirs {
		for _, m := range f.members[h.role] {
			if m != h {
				all.Go(m.process.Kill)
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
		if took[i] > takeoverWithin {
			f.t.Errorf("%s took over after %s", h, took[i])
		}
	}
}

// pair gives the two processes of a role, the relay that is active first.
func (f *fleet) pair(role string) (victim, heir *member) {
	victim, heir = f.members[role][0], f.members[role][1]
	if role == app.RoleRelay && activeSince(heir) > activeSince(victim) {
		victim, heir = heir, victim
	}
	return victim, heir
}

const active = "relay is the active one"

// activeSince is the time, as logged, at which a relay last became the active one; "" if it never did.
func activeSince(m *member) string {
	out := m.process.Output()
	at := strings.LastIndex(out, active)
	if at < 0 {
		return ""
	}
	line := out[strings.LastIndex(out[:at], "\n")+1 : at]
	_, stamp, _ := strings.Cut(line, `"time":"`)
	stamp, _, _ = strings.Cut(stamp, `"`)
	return stamp
}

// takenOver is how long after the death of the other an heir has all its work, or a minute.
func (f *fleet) takenOver(heir *member, from int, killed time.Time) time.Duration {
	const patience = time.Minute
	var at time.Time
	switch heir.role {
	case app.RoleRelay:
		at, _ = said(heir.process, from, patience, func(line string) bool { return strings.Contains(line, active) })
	case app.RoleProjections, app.RoleSagas, app.RoleReactors:
		at, _ = said(heir.process, from, patience, func(line string) bool { return assigned(line, heir.role) == relay.DefaultPartitions })
	default:
		// Both the read and the written side, through every balancer on the way.
		var err error
		if at, err = answersWithin(f.t.Context(), f.api+"/v1/orders?limit=1", patience); err != nil {
			f.t.Error(err)
		}
	}
	return at.Sub(killed)
}

// share waits until the consumers of each pair share the partitions.
func (f *fleet) share() {
	f.t.Helper()
	for _, role := range engines()[1:] {
		for _, m := range f.members[role] {
			until := time.Now().Add(time.Minute)
			for n := partitionsOf(m.process.Output(), role); n == 0 || n == relay.DefaultPartitions; n = partitionsOf(m.process.Output(), role) {
				if time.Now().After(until) {
					f.t.Fatalf("%s has %d partitions", m, n)
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
}

// underway waits until some orders of the demo have been placed.
func (f *fleet) underway(d *demoed, n int) {
	f.t.Helper()
	s := newMarket(strings.TrimPrefix(f.api, "http://"))
	until := time.Now().Add(time.Minute)
	for {
		select {
		case <-d.done:
			f.t.Fatalf("the demo has ended: %v", d.err)
		default:
		}
		a, err := s.client.Do(f.t.Context(), "GET", "/v1/orders?limit=200", "")
		if err == nil && strings.Count(string(a.Body), `"id":"demo-`) >= n {
			return
		}
		if time.Now().After(until) {
			f.t.Fatal("the demo does not come to place orders")
		}
		time.Sleep(50 * time.Millisecond)
	}
}
