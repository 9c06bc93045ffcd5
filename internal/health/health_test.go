package health_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/daybook-dev/daybook/internal/health"
)

var errAway = errors.New("away")

func TestOnePartNeverClearsAnother(t *testing.T) {
	t.Parallel()
	b := health.New(nil)
	r := b.Reporter("sagas")
	for p := range 12 {
		r.Set(fmt.Sprintf("partition %d", p), errAway)
	}
	for p := range 12 {
		if err := r.Err(); !errors.Is(err, errAway) {
			t.Fatalf("after %d parts were cleared: %v", p, err)
		}
		if v, ready := b.Ask(t.Context()); ready || v[0].OK || !strings.HasPrefix(v[0].Error, fmt.Sprintf("partition %d: away", p)) {
			t.Fatalf("after %d parts were cleared: %+v", p, v)
		}
		r.Set(fmt.Sprintf("partition %d", p), nil)
	}
	if v, ready := b.Ask(t.Context()); !ready || !v[0].OK || r.Err() != nil {
		t.Errorf("not ready: %+v", v)
	}
}

func TestProbesAreComputedAtEveryPoll(t *testing.T) {
	t.Parallel()
	b := health.New(nil)
	var is error
	b.Reporter("postgres").Probe("ping", func(context.Context) error { return is })
	b.Reporter("relay").Set("topic", nil)
	for _, is = range []error{nil, errAway, nil} {
		v, ready := b.Ask(t.Context())
		if ready != (is == nil) || v[0].OK != ready || !v[1].OK {
			t.Errorf("while the probe says %v: %+v", is, v)
		}
	}
}

func TestAClientThatLeavesTurnsNothingRed(t *testing.T) {
	t.Parallel()
	b := health.New(nil)
	b.Reporter("postgres").Probe("ping", func(ctx context.Context) error { return ctx.Err() })
	gone, leave := context.WithCancel(t.Context())
	leave()
	if v, ready := b.Ask(gone); !ready {
		t.Errorf("%+v", v)
	}
}

func TestABoardWithoutReportersIsNotReady(t *testing.T) {
	t.Parallel()
	if _, ready := health.New(nil).Ask(t.Context()); ready {
		t.Error("ready")
	}
}

// safe is a log that timers write to.
type safe struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *safe) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *safe) lines() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(s.buf.String()) {
		out = append(out, line)
	}
	return out
}

func TestAnOutageIsLoggedWhenItBeginsAndWhenItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &safe{}
		b := health.New(slog.New(slog.NewTextHandler(log, nil)))
		r := b.Reporter("sagas")
		for range 20 { // seconds
			for p := range 12 {
				r.Set(fmt.Sprintf("partition %d", p), errAway)
			}
			time.Sleep(time.Second)
		}
		for p := range 12 {
			r.Set(fmt.Sprintf("partition %d", p), nil)
		}
		r.Set("partition 3", errAway) // the same outage
		r.Set("partition 3", nil)
		time.Sleep(4 * time.Second)
		lines := log.lines()
		if len(lines) != 2 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "away") ||
			!strings.Contains(lines[1], "works again") || !strings.Contains(lines[1], "failures=241") {
			t.Errorf("%d lines: %v", len(lines), lines)
		}
	})
}

func TestAnOutageEndsWhileLooksGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &safe{}
		b := health.New(slog.New(slog.NewTextHandler(log, nil)))
		r := b.Reporter("relay")
		var is error
		r.Probe("ping", func(context.Context) error { return is })
		for _, is = range []error{errAway, nil, errAway, nil} {
			for range 40 {
				b.Ask(t.Context())
				r.Set("topic", is)
				time.Sleep(time.Second)
			}
		}
		if lines := log.lines(); len(lines) != 4 || !strings.Contains(lines[1], "works again") || !strings.Contains(lines[3], "works again") {
			t.Errorf("%d lines of two outages: %v", len(lines), lines)
		}
	})
}

// A reporter that flaps says so a few times a minute, whatever its rhythm, and every outage is counted in the log in the end.
func TestAReporterThatFlapsIsLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	const minutes = 10
	for _, rhythm := range []struct{ red, green time.Duration }{
		{time.Second, 4 * time.Second}, {100 * time.Millisecond, 3100 * time.Millisecond}, {20 * time.Second, 7 * time.Second}, {time.Second, 29 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			log := &safe{}
			r := health.New(slog.New(slog.NewTextHandler(log, nil))).Reporter("relay")
			outages := 0
			for began := time.Now(); time.Since(began) < minutes*time.Minute; outages++ {
				for failing := time.Now(); time.Since(failing) < rhythm.red; time.Sleep(100 * time.Millisecond) {
					r.Set("topic", errAway)
				}
				r.Set("topic", nil)
				time.Sleep(rhythm.green)
			}
			time.Sleep(2 * time.Minute)
			lines, counted := log.lines(), 0
			for _, line := range lines {
				if strings.Contains(line, "is failing") {
					counted++
				}
				if _, n, found := strings.Cut(line, "outages_not_logged="); found {
					left, err := strconv.Atoi(strings.TrimSpace(n))
					if err != nil {
						t.Fatal(line)
					}
					counted += left
				}
			}
			if most := 3 * (minutes + 1); len(lines) > most || counted != outages {
				t.Errorf("%+v: %d lines, want at most %d; they tell of %d outages of %d:\n%s", rhythm, len(lines), most, counted, outages, strings.Join(lines, ""))
			}
		})
	}
}

// A part that fails again and then stays failing is in the log within a minute, though it failed for a moment just before.
func TestAnOutageAfterAShortOneIsLoggedWhenItLasts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &safe{}
		r := health.New(slog.New(slog.NewTextHandler(log, nil))).Reporter("relay")
		r.Set("topic", errAway)
		r.Set("topic", nil)
		time.Sleep(5 * time.Second)
		for range 70 {
			r.Set("topic", errAway)
			time.Sleep(time.Second)
		}
		r.Set("topic", nil)
		time.Sleep(5 * time.Second)
		lines := log.lines()
		if len(lines) != 4 || !strings.Contains(lines[2], "is failing") || !strings.Contains(lines[2], "for=55s") || !strings.Contains(lines[3], "works again") {
			t.Errorf("%v", lines)
		}
	})
}

func TestALongOutageIsRemindedOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &safe{}
		r := health.New(slog.New(slog.NewTextHandler(log, nil))).Reporter("relay")
		for range 181 {
			r.Set("topic", errAway)
			time.Sleep(time.Second)
		}
		if lines := log.lines(); len(lines) != 4 || !strings.Contains(lines[3], "for=3m0s") {
			t.Errorf("%v", lines)
		}
	})
}

func TestNotYetIsNotReadyAndNoOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &safe{}
		b := health.New(slog.New(slog.NewTextHandler(log, nil)))
		r := b.Reporter("projections")
		began := time.Now()
		time.Sleep(10 * time.Second)
		r.Set("start", &health.NotYet{What: "catching up", Done: 250, Total: 1000, Began: began})
		v, ready := b.Ask(t.Context())
		if ready || !v[0].Starting || v[0].Error != "start: catching up: 25 %, 25/s, 30s left" {
			t.Errorf("%+v", v)
		}
		r.Set("start", nil)
		time.Sleep(5 * time.Second)
		if _, ready := b.Ask(t.Context()); !ready || len(log.lines()) > 0 {
			t.Errorf("ready %t, logged %v", ready, log.lines())
		}
	})
}

func TestMetricsTellEachReporter(t *testing.T) {
	t.Parallel()
	b := health.New(nil)
	b.Reporter("relay").Set("topic", errAway)
	b.Reporter("sagas").Set("partition 1", nil)
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(b)
	err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP daybook_health_ready 1 if every part of the reporter is well, else 0.
# TYPE daybook_health_ready gauge
daybook_health_ready{reporter="relay"} 0
daybook_health_ready{reporter="sagas"} 1
`), "daybook_health_ready")
	if err != nil {
		t.Error(err)
	}
}

func TestAFailureInPartIsShownAndLeavesTheProcessReady(t *testing.T) {
	t.Parallel()
	b := health.New(nil)
	r := b.Reporter("projections")
	r.Set("read model sales", health.Partly(errAway))
	v, ready := b.Ask(t.Context())
	if !ready || !v[0].OK || v[0].Starting || !strings.Contains(v[0].Error, "read model sales: away") || v[0].Since == nil || r.Err() == nil {
		t.Errorf("%+v, ready %v", v, ready)
	}
	r.Set("partition 3", errAway)
	if v, ready := b.Ask(t.Context()); ready || v[0].OK {
		t.Errorf("%+v, ready %v, while another part has failed", v, ready)
	}
	r.Set("partition 3", nil)
	r.Set("read model sales", health.Partly(nil))
	if v, ready := b.Ask(t.Context()); !ready || v[0].Error != "" {
		t.Errorf("%+v, ready %v, after it was mended", v, ready)
	}
}
