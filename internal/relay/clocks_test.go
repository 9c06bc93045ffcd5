package relay

import (
	"context"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// A store whose clock is behind records events in what is our past: it must not be said that all of them are there.
func TestCaughtUpIsTheStoresTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const behind = time.Hour
	w.store.Now = func() time.Time { return time.Now().Add(-behind) }
	cfg := w.config()
	if err := cfg.defaults(); err != nil {
		t.Fatal(err)
	}
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := make(chan topic.State, 1000)
	s := newSession(cfg, newStatus(m, (*health.Board)(nil).Reporter("relay")), topic.State{Origin: checkpoint.Here(w.incarnation(), testPartitions), Last: make([]uint64, testPartitions)},
		func(_ context.Context, s topic.State) error { claims <- s; return nil }, untilItEnds)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	<-claims
	// What was read before the log had ended, as an event that is appended at once may be, says nothing about the clocks.
	for until := time.Now().Add(time.Minute); s.state.behind.Load() == int64(clocksDiffer) && time.Now().Before(until); {
		end := w.appendTo(es.StreamID{Category: "order", Key: "O"}, `{}`)
		for (<-claims).Position < end {
		}
	}
	cancel()
	<-done
	began := time.Now()
	if got := began.Add(-time.Duration(s.state.behind.Load())); got.After(w.store.Now().Add(time.Millisecond)) {
		t.Errorf("takes it to be %v on the store's clock, which shows %v", got, w.store.Now())
	}
}
