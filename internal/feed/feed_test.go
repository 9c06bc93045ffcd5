package feed_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/topic/topictest"
	"github.com/daybook-dev/daybook/kit/es"
)

func TestLiveEventsArriveOnceAndAtOnce(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	f, _ := s.feed(b)
	eventually(t, "joining the group", func() bool { return f.Health() == nil })
	s.record(1)
	s.publish(once)
	b.await(t, s.store) // the first fetches of all partitions are under way now
	var slowest time.Duration
	for range 20 {
		s.record(1)
		begin := time.Now()
		s.publish(once)
		b.await(t, s.store)
		slowest = max(slowest, time.Since(begin))
	}
	t.Logf("slowest of 20 from publishing to applied: %s", slowest)
}

func TestEveryEventOnceDespiteLossAndRepetition(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	rng := rand.New(rand.NewPCG(1, 2))
	s.record(2000)
	s.publish(func(es.Record) int { return rng.IntN(4) }) // a quarter is lost, the rest comes up to three times
	s.feed(b)
	b.await(t, s.store)
	for range 10 {
		s.record(50)
		s.publish(func(es.Record) int { return rng.IntN(4) })
	}
	b.await(t, s.store) // also what was lost last: nothing comes after it
}

func TestCatchesUpFromTheStoreWhenKafkaHasNothing(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.record(30000)
	s.publish(func(es.Record) int { return 0 })
	begin := time.Now()
	s.feed(b)
	b.await(t, s.store)
	t.Logf("30,000 events from the store in %s, joining included", time.Since(begin))
}

func TestDeletedRecords(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.record(500)
	s.publish(once)
	_, stop := s.feed(b)
	b.await(t, s.store)
	stop()

	s.record(500)
	s.publish(once)
	deleteRecords(t, s.addr)
	s.record(10)
	s.publish(once)
	_, stop = s.feed(b) // its offset is gone
	b.await(t, s.store)
	deleteRecords(t, s.addr) // below the offsets of a running feed
	s.record(100)
	s.publish(once)
	b.await(t, s.store)
	stop()
}

func deleteRecords(t *testing.T, addr string) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := kmsg.NewPtrDeleteRecordsRequest()
	of := kmsg.NewDeleteRecordsRequestTopic()
	of.Topic = topic.DefaultName
	for p := range int32(partitions) {
		rp := kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Partition, rp.Offset = p, -1 // all of them
		of.Partitions = append(of.Partitions, rp)
	}
	req.Topics, req.TimeoutMillis = append(req.Topics, of), 5000
	if _, err := req.RequestWith(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestBrokerReplacedByAnEmptyOne(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.record(300)
	s.publish(once)
	s.feed(b)
	b.await(t, s.store)
	for range 2 {
		s.record(100)
		s.publish(func(rec es.Record) int { return int(rec.Position % 2) })
		s.replaceBroker()
		s.record(100)
		s.publish(once) // shorter than what the offsets of before say
		b.await(t, s.store)
	}
}

func TestBrokerAwayThenEmpty(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.record(100)
	s.publish(once)
	f, _ := s.feed(b)
	b.await(t, s.store)
	if err := s.broker.Close(); err != nil {
		t.Fatal(err)
	}
	s.record(100)
	eventually(t, "Health to show that the broker is away", func() bool { return f.Health() != nil })
	s.startBroker(s.addr)
	s.publish(func(es.Record) int { return 0 }) // published to the old one, and lost with it
	b.await(t, s.store)
	eventually(t, "Health to be well again", func() bool { return f.Health() == nil })
}

func TestErrorsOfApplyAreRetried(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	rng := rand.New(rand.NewPCG(3, 4))
	b.fail = func(int, []es.Record) (before, after error) {
		switch rng.IntN(4) {
		case 0:
			return errors.New("connection refused"), nil
		case 1:
			return nil, errors.New("connection lost after the commit")
		case 2:
			if rng.IntN(2) == 0 {
				panic("a fold that cannot")
			}
		}
		return nil, nil
	}
	s.record(3000)
	s.publish(func(rec es.Record) int { return int(rec.Position/100) % 3 })
	s.feed(b)
	b.await(t, s.store)
	s.record(100)
	s.publish(once)
	b.await(t, s.store)
}

func TestOnePartitionThatFailsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.record(20000)
	s.publish(func(es.Record) int { return 0 }) // so that all share one reading of the log
	stuck := topic.PartitionOf("k0", partitions)
	mended := false
	b.fail = func(part int, _ []es.Record) (before, after error) {
		if part == stuck && !mended {
			return errors.New("row broken"), nil
		}
		return nil, nil
	}
	f, _ := s.feed(b)
	state, _ := s.relayState(t.Context())
	eventually(t, "the other partitions", func() bool {
		at, _ := b.Checkpoints(t.Context(), []int{0, 1, 2, 3})
		for p, last := range state.Last {
			if p != stuck && at[p] < last {
				return false
			}
		}
		return true
	})
	eventually(t, "Health to name what failed", func() bool {
		err := f.Health()
		return err != nil && strings.Contains(err.Error(), "row broken")
	})
	b.mu.Lock()
	mended = true
	b.mu.Unlock()
	b.await(t, s.store)
	eventually(t, "Health to be well again", func() bool { return f.Health() == nil })
}

// A crash of Postgres may lose its last asynchronous commits, and nothing tells an idle partition.
func TestCheckpointThatGoesBack(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.record(400)
	s.publish(once)
	s.feed(b)
	b.await(t, s.store)
	for round := range 3 {
		before := b.looks()
		eventually(t, "idle partitions to have seen that nothing is missing", func() bool { return b.looks() > before+3 })
		b.mu.Lock()
		for p, got := range b.got {
			if len(got) > 10 {
				b.got[p] = got[:len(got)-10]
				b.at[p] = got[len(got)-11]
			}
		}
		b.mu.Unlock()
		switch round % 3 {
		case 0: // idle: nothing but the look at the checkpoint can find out
		case 1: // the compare-and-set finds out
			s.record(20)
			s.publish(once)
		case 2: // and what is new is lost, too
			s.record(20)
			s.publish(func(es.Record) int { return 0 })
		}
		b.await(t, s.store)
	}
}

func TestMessageOfAnotherIncarnationOrFilterStopsItsPartition(t *testing.T) {
	t.Parallel()
	for says, message := range map[string]func(*shop, int, es.Record) kafka.Message{
		"incarnation another": func(s *shop, p int, rec es.Record) kafka.Message {
			return topictest.Message(s.t, s.keys, topic.DefaultName, p, rec, 0, "another")
		},
		"filter 2 of what is relayed, this program has filter 1": func(s *shop, p int, rec es.Record) kafka.Message {
			rec.Type = "saga.counted" // which a rule with another number may relay
			return topictest.Filtered(s.t, s.keys, topictest.Message(s.t, s.keys, topic.DefaultName, p, rec, 0, "memory"), es.RelayFilter+1)
		},
	} {
		t.Run(says, func(t *testing.T) { t.Parallel(); stopsItsPartition(t, says, message) })
	}
}

func stopsItsPartition(t *testing.T, says string, message func(*shop, int, es.Record) kafka.Message) {
	t.Helper()
	s, b := newShop(t), newBook()
	s.record(50)
	s.publish(once)
	f, _ := s.feed(b)
	b.await(t, s.store)

	foreign := topic.PartitionOf("k3", partitions)
	rec := es.Record{ID: es.UUID{1}, Stream: es.StreamID{Category: "parcel", Key: "k3"}, Position: 9999, Type: "parcel.counted", Created: time.Now(), Meta: []byte("{}")}
	topictest.Produce(t, s.addr, foreign, message(s, foreign, rec))
	eventually(t, "Health to name what it is", func() bool {
		err := f.Health()
		return err != nil && strings.Contains(err.Error(), says) && strings.Contains(err.Error(), "daybook recover")
	})
	s.record(50)
	s.publish(once)
	want, _ := s.relayState(t.Context())
	eventually(t, "the other partitions to go on", func() bool {
		at, _ := b.Checkpoints(t.Context(), []int{0, 1, 2, 3})
		for p, last := range want.Last {
			if p != foreign && at[p] != last {
				return false
			}
		}
		return true
	})
	if at, _ := b.Checkpoints(t.Context(), []int{foreign}); at[foreign] == want.Last[foreign] || at[foreign] >= 9999 {
		t.Errorf("partition %d went on to %d after a message of %s", foreign, at[foreign], says)
	}
}

func TestMalformedMessageIsSkipped(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.feed(b)
	for p := range partitions {
		topictest.Produce(t, s.addr, p, kafka.Message{Key: []byte("x"), Value: []byte("hello")})
	}
	s.record(50)
	s.publish(once)
	b.await(t, s.store)
}

// Two members share the partitions and the checkpoints; the one that stays takes over.
func TestTakeover(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.record(200)
	s.publish(once)
	_, stopFirst := s.feed(b)
	b.await(t, s.store)
	second, stopSecond := s.feed(b)
	eventually(t, "the second to have joined", func() bool { return second.Health() == nil })
	s.record(200)
	s.publish(once)
	b.await(t, s.store)

	begin := time.Now()
	stopFirst()
	s.record(200)
	s.publish(once)
	b.await(t, s.store)
	t.Logf("taken over in %s", time.Since(begin))
	eventually(t, "the second to own them all, also those without events", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for p := range partitions {
			if b.owned[p] != 1 {
				return false
			}
		}
		return true
	})
	stopSecond()
	for p := range partitions {
		if b.owned[p] != 0 {
			t.Errorf("partition %d is still owned after the end", p)
		}
	}
}

func TestWrongNumberOfPartitionsIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	f, err := feed.New(feed.Config{Consumer: newBook(), Log: s.store, Keys: s.keys, Brokers: []string{s.addr}, Partitions: partitions + 1, Incarnation: "memory", RelayState: s.relayState})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "partitions") {
		t.Errorf("got %v", err)
	}
}
