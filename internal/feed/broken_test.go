package feed_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/daybook-dev/daybook/internal/kafkaread/kafkareadtest"
	"github.com/daybook-dev/daybook/internal/testenv/apachekafka"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// A broker that does not look into batches holds some that do not add up, before, among and after those of the relay: the consumer is
// given the log, live, and stays healthy.
func TestBrokenBatchesOfAForeignBroker(t *testing.T) {
	t.Parallel()
	foreign, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(foreign.Close)
	if taken := brokenBatches(t, newShopOn(t, foreign.ListenAddrs()[0])); taken != len(kafkareadtest.Broken(t)) {
		t.Errorf("the broker took %d batches, not all %d: it looks into them", taken, len(kafkareadtest.Broken(t)))
	}
}

func TestBrokenBatchesOnApacheKafka(t *testing.T) {
	t.Logf("it took %d of %d", brokenBatches(t, newShopOn(t, apachekafka.Start(t).Addr())), len(kafkareadtest.Broken(t)))
}

func TestBrokenBatchesOnTheEmbeddedBroker(t *testing.T) {
	t.Parallel()
	if taken := brokenBatches(t, newShop(t)); taken > 0 {
		t.Errorf("the embedded broker took %d", taken)
	}
}

// brokenBatches gives how many of them the broker took into each partition.
func brokenBatches(t *testing.T, s *shop) (taken int) {
	t.Helper()
	registry := prometheus.NewRegistry()
	s.metrics = registry
	b := newBook()
	s.record(100)
	s.publish(once)
	f, _ := s.feed(b)
	b.await(t, s.store)
	for p := range partitions {
		if !kafkareadtest.Produce(t, s.addr, topic.DefaultName, p, kafkareadtest.Batch(0, 1, kafkareadtest.Record(0, "k", "v", 0))) {
			t.Fatal("the broker does not even take a good batch")
		}
	}
	all := 0
	for name, batch := range kafkareadtest.Broken(t) {
		into := 0
		for p := range partitions {
			if kafkareadtest.Produce(t, s.addr, topic.DefaultName, p, batch) {
				into++
			}
		}
		if into != 0 && into != partitions {
			t.Errorf("%s: taken by %d of %d partitions", name, into, partitions)
		}
		if all += into; into > 0 {
			taken++
		}
		s.record(10)
		s.publish(once)
	}
	s.record(50)
	s.publish(func(es.Record) int { return 0 }) // lost: the heal still comes
	b.await(t, s.store)
	want := map[string]int{"unsigned": partitions, "unknown_key": 0, "forged": 0, "malformed": all, "beyond": 0}
	counted(t, "broken batches", registry, want)
	if err := f.Health(); err != nil {
		t.Errorf("broken batches made the feed unhealthy: %v", err)
	}
	return taken
}
