package feed_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/testenv/apachekafka"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/topic/topictest"
	"github.com/daybook-dev/daybook/kit/es"
)

// Whatever somebody without the key writes to the topic, the consumer is given the log, once, in order, and stays healthy.
func TestHostileMessagesChangeNothing(t *testing.T) {
	t.Parallel()
	hostile(t, newShop(t))
}

func TestHostileMessagesOnApacheKafka(t *testing.T) {
	hostile(t, newShopOn(t, apachekafka.Start(t).Addr()))
}

func hostile(t *testing.T, s *shop) {
	t.Helper()
	registry := prometheus.NewRegistry()
	s.metrics = registry
	b := newBook()
	s.record(100)
	s.publish(once)
	f, _ := s.feed(b)
	b.await(t, s.store)

	want := map[string]int{"unsigned": 0, "unknown_key": 0, "forged": 0, "malformed": 0, "beyond": 0}
	tried := 0
	newest := s.newest()
	for _, genuine := range newest {
		for _, a := range topictest.Attacks(t, genuine, partitions) {
			topictest.Produce(t, s.addr, a.Message.Partition, a.Message)
			if a.Reason != "" {
				want[string(a.Reason)]++
			}
			tried++
		}
		s.record(10)
		s.publish(once) // among them
	}
	s.record(100)
	s.publish(once)
	b.await(t, s.store)
	counted(t, fmt.Sprintf("%d attacks", tried), registry, want)
	if err := f.Health(); err != nil {
		t.Errorf("hostile messages made the feed unhealthy: %v", err)
	}
}

// newest is the last message of each partition, as the relay published it.
func (s *shop) newest() map[int]kafka.Message {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	last, before := map[int]kafka.Message{}, map[int]uint64{}
	for _, rec := range s.store.All(0) {
		p := topic.PartitionOf(rec.Stream.Partition(), partitions)
		last[p] = topictest.Message(s.t, s.keys, topic.DefaultName, p, rec, before[p], s.state.Incarnation)
		before[p] = rec.Position
	}
	return last
}

// counted waits until as much as is wanted was refused for each reason, and nothing for others. A consumer that has to join its group
// anew reads again, and refuses again.
func counted(t *testing.T, what string, r *prometheus.Registry, want map[string]int) {
	t.Helper()
	var got map[string]int
	defer func() {
		if t.Failed() {
			t.Logf("%s: refused %v, want %v", what, got, want)
		}
	}()
	eventually(t, what+" to be counted", func() bool {
		got = refusals(t, r)
		for reason, n := range want {
			if got[reason] < n || n == 0 && got[reason] > 0 {
				return false
			}
		}
		return len(got) == len(want)
	})
}

func refusals(t *testing.T, r *prometheus.Registry) map[string]int {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, f := range families {
		if f.GetName() != "daybook_feed_refused_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "reason" {
					out[l.GetValue()] = int(m.GetCounter().GetValue())
				}
			}
		}
	}
	return out
}

// Messages that are skipped, and copies of what was applied, come without a pause while genuine ones are lost: the idle
// partition still finds out and reads the event store.
func TestFloodsDoNotPostponeTheHeal(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"made up, plausible", "repeated"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, b := newShop(t), newBook()
			s.record(20)
			s.publish(once)
			s.feed(b)
			b.await(t, s.store)

			flooding, stop := context.WithCancel(t.Context())
			flooded := make(chan error)
			newest := s.newest()
			for _, genuine := range newest {
				var flood kafka.Message
				for _, a := range topictest.Attacks(t, genuine, partitions) {
					if a.Name == kind {
						flood = a.Message
					}
				}
				go func() { flooded <- floodWith(flooding, s.addr, flood) }()
			}
			s.record(50)
			s.publish(func(es.Record) int { return 0 })
			b.await(t, s.store)
			stop()
			for range newest {
				if err := <-flooded; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func floodWith(ctx context.Context, addr string, m kafka.Message) error {
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(addr), Transport: transport}
	for ctx.Err() == nil {
		_, err := client.Produce(ctx, &kafka.ProduceRequest{
			Topic: topic.DefaultName, Partition: m.Partition, RequiredAcks: kafka.RequireAll,
			Records: kafka.NewRecordReader(kafka.Record{Key: kafka.NewBytes(m.Key), Value: kafka.NewBytes(m.Value), Headers: m.Headers}),
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// A message that is signed and beyond the log, as after a restore that kept the incarnation, moves no checkpoint.
func TestNoCheckpointMovesBeyondTheLog(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	registry := prometheus.NewRegistry()
	s.metrics = registry
	s.record(20)
	s.publish(once)
	f, _ := s.feed(b)
	b.await(t, s.store)
	newest := s.newest()
	for p, m := range newest {
		d, err := topic.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		prev := d.Record.Position
		d.Record.Position = 9_000_000_000_000_000_000
		topictest.Produce(t, s.addr, p, topictest.Message(t, s.keys, topic.DefaultName, p, d.Record, prev, d.Incarnation))
	}
	eventually(t, "the messages to be skipped", func() bool { return refusals(t, registry)["beyond"] >= len(newest) })
	s.record(50)
	s.publish(once)
	b.await(t, s.store)
	if err := f.Health(); err != nil {
		t.Error(err)
	}
}

// A checkpoint that is ahead of the log holds its partition, is named with the command that repairs it, and the partition goes on
// by itself once it is repaired: at the start, and when it is moved while the feed runs.
func TestCheckpointAheadOfTheLogHoldsItsPartition(t *testing.T) {
	t.Parallel()
	const ahead = 9_000_000_000_000_000_000
	for _, when := range []string{"at start", "while it runs"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			s, b := newShop(t), newBook()
			s.record(50)
			s.publish(once)
			const held = 2
			var f *feed.Feed
			if when == "at start" {
				b.set(held, ahead)
				f, _ = s.feed(b)
			} else {
				f, _ = s.feed(b)
				b.await(t, s.store)
				b.set(held, ahead)
			}
			eventually(t, "Health to name the checkpoint and the command", func() bool {
				err := f.Health()
				return err != nil && strings.Contains(err.Error(), fmt.Sprintf("partition %d", held)) &&
					strings.Contains(err.Error(), strconv.FormatInt(int64(ahead), 10)) && strings.Contains(err.Error(), "daybook recover")
			})
			s.record(50)
			s.publish(once)
			want, _ := s.relayState(t.Context())
			eventually(t, "the other partitions to go on", func() bool {
				at, _ := b.Checkpoints(t.Context(), []int{0, 1, 3})
				return at[0] == want.Last[0] && at[1] == want.Last[1] && at[3] == want.Last[3]
			})
			b.rewind(held)
			b.await(t, s.store)
			eventually(t, "Health to be well again", func() bool { return f.Health() == nil })
		})
	}
}

// The same for one of several checkpoints, of which the lowest is where the partition goes on.
func TestOneOfSeveralCheckpointsAheadOfTheLogHoldsItsPartition(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.record(50)
	s.publish(once)
	f, _ := s.feed(several{b, 9_000_000_000_000_000_000})
	eventually(t, "Health to name the command", func() bool {
		err := f.Health()
		return err != nil && strings.Contains(err.Error(), "daybook recover")
	})
	if at, _ := b.Checkpoints(t.Context(), []int{0, 1, 2, 3}); at[0]+at[1]+at[2]+at[3] != 0 {
		t.Errorf("events were applied: %v", at)
	}
}

type several struct {
	*book

	farthest uint64
}

func (s several) Farthest(int) uint64 { return s.farthest }

// A relay whose own checkpoint is ahead of the log is not believed: what it says about gaps would hide events.
func TestRelayCheckpointAheadOfTheLogIsNamed(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.record(20)
	s.publish(once)
	f, _ := s.feed(b)
	b.await(t, s.store)
	s.mu.Lock()
	true0, last0 := s.state.Position, s.state.Last[0]
	s.state.Position, s.state.Last[0] = true0+1000, true0+1000
	s.mu.Unlock()
	eventually(t, "Health to name the command", func() bool {
		err := f.Health()
		return err != nil && strings.Contains(err.Error(), "the relay's checkpoint") && strings.Contains(err.Error(), "daybook recover")
	})
	s.mu.Lock()
	s.state.Position, s.state.Last[0] = true0, last0
	s.mu.Unlock()
	s.record(50)
	s.publish(once)
	b.await(t, s.store)
}

// set moves a checkpoint from outside.
func (b *book) set(part int, at uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at[part] = at
}

// rewind begins a partition anew, as a repair does.
func (b *book) rewind(part int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at[part], b.got[part] = 0, nil
}

func TestAFeedNeedsKeys(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	_, err := feed.New(feed.Config{Consumer: newBook(), Log: s.store, Brokers: []string{s.addr}, Incarnation: "memory", RelayState: s.relayState})
	if err == nil || errors.Is(err, context.Canceled) {
		t.Error("a feed without keys would believe anything")
	}
}
