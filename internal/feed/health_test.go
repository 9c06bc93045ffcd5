package feed_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/kit/es"
)

// Whatever an idle feed looks at fails once and comes back. No event ever comes that would clear it.
func TestHealthOfAnIdleFeedClearsByItself(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.record(40)
	s.publish(once)
	f, _ := s.feed(b)
	b.await(t, s.store)
	away := errors.New("connection was terminated")
	both := func(err error) {
		b.mu.Lock()
		b.away = err
		b.mu.Unlock()
		s.mu.Lock()
		s.away = err
		s.mu.Unlock()
	}
	for _, tt := range []struct {
		what, named string
		fail, heal  func()
	}{ // when a broker goes, its group does, and then its partitions have no owner
		{"checkpoints", "look", func() { b.mu.Lock(); b.away = away; b.mu.Unlock() }, func() { both(nil) }},
		{"the relay's row", "look", func() { s.mu.Lock(); s.away = away; s.mu.Unlock() }, func() { both(nil) }},
		{"both", "look", func() { both(away) }, func() { both(nil) }},
		{"Kafka", "fetching, join group", func() {
			if err := s.broker.Close(); err != nil {
				t.Error(err)
			}
		}, func() { s.startBroker(s.addr) }},
	} {
		eventually(t, tt.what+": Health to be well before", func() bool { return f.Health() == nil })
		tt.fail()
		eventually(t, tt.what+": Health to name what failed", func() bool {
			err := f.Health()
			return err != nil && slices.ContainsFunc(strings.Split(tt.named, ", "), func(one string) bool { return strings.Contains(err.Error(), one) })
		})
		tt.heal()
		eventually(t, tt.what+": Health to be well again", func() bool { return f.Health() == nil })
	}
}

// A database that is frozen gives no error: the state is computed.
func TestApplyingWithoutAnAnswerIsNamed(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	board := health.New(nil)
	s.health = board.Reporter("book")
	thaw := make(chan struct{})
	var frozen atomic.Bool
	frozen.Store(true)
	b.fail = func(int, []es.Record) (before, after error) {
		if frozen.Load() {
			<-thaw
		}
		return nil, nil
	}
	s.feed(b)
	s.record(1)
	s.publish(once)
	red := func() (string, bool) {
		all, ready := board.Ask(context.Background())
		return all[0].Error, !ready
	}
	eventually(t, "the feed to be red", func() bool { why, is := red(); return is && strings.Contains(why, "no answer") })
	frozen.Store(false)
	close(thaw)
	eventually(t, "the feed to be green", func() bool { _, is := red(); return !is })
	b.await(t, s.store)
}

// An event that the relay publishes after a partition's last fetch, and before the partition compares itself with the relay, is not
// missing: it comes with the next fetch. On a loaded machine that is most of them, and reading the log for each would load it more.
func TestWhatIsPublishedWhileAPartitionLooksComesLive(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	reg := prometheus.NewRegistry()
	s.metrics = reg
	s.record(40)
	s.publish(once)
	s.feed(b)
	b.await(t, s.store)
	for range 10 {
		done := make(chan struct{})
		s.mu.Lock()
		s.looked = func() {
			defer close(done)
			s.record(10)
			s.publish(once)
		}
		s.mu.Unlock()
		<-done
		b.await(t, s.store)
	}
	err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP daybook_feed_heals_total Holes that were filled from the event store.
# TYPE daybook_feed_heals_total counter
daybook_feed_heals_total{consumer="book"} 0
`), "daybook_feed_heals_total")
	if err != nil {
		t.Error(err)
	}
}

// The database gives no answer to a look, as when it has no connection left for long. What comes from Kafka meanwhile is applied: a
// partition does not wait for its look, nor for that of another one.
func TestLiveDeliveryGoesOnWhileALookHasNoAnswer(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.record(40)
	s.publish(once)
	s.feed(b)
	b.await(t, s.store)
	looking, answer := make(chan struct{}), make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { close(answer) })) // before the feed stops
	s.mu.Lock()
	s.looked = func() { close(looking); <-answer }
	s.mu.Unlock()
	<-looking
	for range 20 {
		s.record(10)
		s.publish(once)
		b.await(t, s.store)
	}
}
