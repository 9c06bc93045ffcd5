package reactor

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/reactor"
)

// lines is a log that calls of Attend write to at once.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), what)
}

// An intent without an outcome for long is worth one warning. A buyer who has to act has time of their own: none.
func TestOverdueIsLoggedOnceAndWaitingNever(t *testing.T) {
	t.Parallel()
	log := &lines{}
	var unknown, buyer atomic.Int32
	e := engine(t, postgrestest.New(t), func(c *Config) {
		c.AlertAfter = time.Nanosecond
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	}, asking(func(_ context.Context, task reactor.Task) (reactor.Next, error) {
		if task.Stream.Key == "buyer" {
			buyer.Add(1)
			return reactor.AgainAfter(time.Millisecond, nil).Waiting(), nil
		}
		unknown.Add(1)
		return reactor.AgainAfter(time.Millisecond, nil), nil
	}))
	at := checkpointOf(t, e)
	own(t, e)
	if err := e.Apply(t.Context(), partition, at, []es.Record{event(11, "thing.asked", "buyer"), event(12, "thing.asked", "unknown")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both were tried often", func() bool { return unknown.Load() > 5 && buyer.Load() > 5 })
	if n := log.count("without an outcome"); n != 1 || log.count("thing-unknown") != 1 {
		t.Errorf("%d warnings:\n%s", n, log.buf.String())
	}
}

// A round that cannot read the open intents is reported by its partition, and cleared by the next that can, though nothing is open.
func TestHealthSaysThatARoundFailed(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	e := engine(t, pool, nil, asking(func(context.Context, reactor.Task) (reactor.Next, error) { return reactor.Done(), nil }))
	checkpointOf(t, e)
	own(t, e)
	eventually(t, "all is well", func() bool { return e.Health() == nil })
	rename := func(from, to string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), "alter table daybook."+from+" rename to "+to); err != nil {
			t.Fatal(err)
		}
	}
	rename("reactor_waiting", "away")
	eventually(t, "it names the partition", func() bool {
		err := e.Health()
		return err != nil && strings.Contains(err.Error(), "partition 3, open intents")
	})
	e.health.Set(atRound(partition+1), errors.New("another partition fails"))
	rename("away", "reactor_waiting")
	eventually(t, "the round is well", func() bool { return !strings.Contains(e.Health().Error(), "partition 3") })
	if err := e.Health(); err == nil || !strings.Contains(err.Error(), "partition 4") {
		t.Errorf("one partition's success cleared another's failure: %v", err)
	}
}
