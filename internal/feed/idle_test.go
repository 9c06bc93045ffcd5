package feed_test

import (
	"context"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// brokerCounts reads the embedded broker's counts: fetches since it started, and connections now.
func (s *shop) brokerCounts() (fetches, connections float64) {
	s.t.Helper()
	families, err := s.counts.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch f.GetName() {
			case "daybook_kafka_connections":
				connections = m.GetGauge().GetValue()
			case "daybook_kafka_requests_total":
				if m.GetLabel()[0].GetValue() == "Fetch" {
					fetches = m.GetCounter().GetValue()
				}
			}
		}
	}
	return fetches, connections
}

// An idle consumer has one connection for all of its partitions, and asks every five seconds. What then comes is applied at once.
func TestAnIdleConsumerRests(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.record(40)
	s.publish(once)
	s.feed(b)
	b.await(t, s.store)
	const watched = 12 * time.Second
	began := time.Now()
	before, _ := s.brokerCounts()
	<-time.After(watched)
	after, connections := s.brokerCounts()
	took := time.Since(began)
	t.Logf("%.0f fetches in %s, %.0f connections", after-before, took, connections)
	if after-before > took.Seconds()/3 {
		t.Errorf("it fetched %.0f times in %s", after-before, took)
	}
	if connections > 4 { // fetches, the cluster's layout, the group's coordinator, and one that a look may have used
		t.Errorf("it has %.0f connections for %d partitions", connections, partitions)
	}
	quickest := time.Hour
	for range 3 { // a loaded machine is slow now and then; a consumer that waits for its next fetch is always
		s.record(40)
		began := time.Now()
		s.publish(once)
		b.await(t, s.store)
		quickest = min(quickest, time.Since(began))
		<-time.After(100 * time.Millisecond) // it waits again
	}
	if quickest > 2*time.Second {
		t.Errorf("what came then took %s at least", quickest)
	}
}

// stalled is a book of which one partition takes nothing until it is let go.
type stalled struct {
	*book

	part  int
	letGo chan struct{}
}

func (c stalled) Apply(ctx context.Context, part int, after uint64, events []es.Record) error {
	if part == c.part {
		select {
		case <-c.letGo:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return c.book.Apply(ctx, part, after, events)
}

// A partition whose events are not applied for long has a backlog that is longer than it may buffer. Others get theirs live.
func TestASlowPartitionHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	c := stalled{book: b, part: topic.PartitionOf("k0", partitions), letGo: make(chan struct{})}
	s.feed(c)
	for range 20 { // its part is more than 1 MiB
		s.record(2000)
		s.publish(once)
	}
	for range 20 {
		s.record(10)
		s.publish(once)
		want, _ := s.relayState(t.Context())
		eventually(t, "the other partitions", func() bool {
			at, _ := b.Checkpoints(t.Context(), []int{0, 1, 2, 3})
			for p, last := range want.Last {
				if p != c.part && at[p] < last {
					return false
				}
			}
			return true
		})
	}
	close(c.letGo)
	b.await(t, s.store)
}
