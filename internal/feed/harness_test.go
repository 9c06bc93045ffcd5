package feed_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/embedded/kafkaserver"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/testenv/ports"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/topic/topictest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

const (
	partitions = 4
	idle       = 100 * time.Millisecond
	patience   = time.Minute
)

// shop is a log, a broker, and a relay that loses things on the way when a test asks for it.
type shop struct {
	t      *testing.T
	store  *memory.Store
	broker *kafkaserver.Server
	addr   string

	keys    *topic.Keys
	hold    time.Duration // of its feeds
	health  *health.Reporter
	metrics prometheus.Registerer // of its feed, may be nil
	counts  *prometheus.Registry  // of the broker
	looked  func()                // called before the relay's state is read; may be nil
	moved   chan struct{}         // woken when the relay's row has moved; may be nil

	mu    sync.Mutex
	next  map[string]es.Expected
	state topic.State
	away  error // of the relay's state
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := newShopOn(t, "")
	s.startBroker(ports.Address(t))
	t.Cleanup(func() {
		if err := s.broker.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// newShopOn is a shop on a broker that others started, if there is one.
func newShopOn(t *testing.T, addr string) *shop {
	t.Helper()
	s := &shop{t: t, keys: topictest.Keys(t), store: memory.New(), next: map[string]es.Expected{}}
	s.state = topic.State{Origin: checkpoint.Here("memory", partitions), Last: make([]uint64, partitions)}
	if s.addr = addr; addr != "" {
		s.ensureTopic()
	}
	return s
}

func (s *shop) ensureTopic() {
	s.t.Helper()
	if err := topic.Ensure(s.t.Context(), []string{s.addr}, topic.DefaultName, partitions); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) startBroker(listen string) {
	s.t.Helper()
	var err error
	s.counts = prometheus.NewRegistry()
	if s.broker, err = kafkaserver.Start(s.t.Context(), kafkaserver.Config{Dir: s.t.TempDir(), Listen: listen, Registerer: s.counts}); err != nil {
		s.t.Fatal(err)
	}
	s.addr = s.broker.Addr()
	s.ensureTopic()
}

func (s *shop) replaceBroker() {
	s.t.Helper()
	if err := s.broker.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.startBroker(s.addr)
}

// record appends n events, over ten keys.
func (s *shop) record(n int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		key := fmt.Sprintf("k%d", i%10)
		at, ok := s.next[key]
		if !ok {
			at = es.NoStream
		}
		id := es.CommandID("test", "record", key, fmt.Sprint(at))
		_, err := s.store.Append(s.t.Context(), es.StreamID{Category: "parcel", Key: key}, at,
			[]es.Proposed{{ID: id, Type: "parcel.counted", Data: []byte(`{}`), Meta: []byte(`{"schema":1}`)}})
		if err != nil {
			s.t.Fatal(err)
		}
		s.next[key] = at + 1
	}
}

// publish relays what has been recorded since, each event as often as copies says.
func (s *shop) publish(copies func(es.Record) int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	byPartition := map[int][]kafka.Message{}
	for _, rec := range s.store.All(0) {
		if rec.Position <= s.state.Position {
			continue
		}
		p := topic.PartitionOf(rec.Stream.Partition(), partitions)
		m := topictest.Message(s.t, s.keys, topic.DefaultName, p, rec, s.state.Last[p], s.state.Incarnation)
		for range copies(rec) {
			byPartition[p] = append(byPartition[p], m)
		}
		s.state.Position, s.state.Last[p] = rec.Position, rec.Position
	}
	s.state.CaughtUpAt = time.Now()
	for p, messages := range byPartition {
		topictest.Produce(s.t, s.addr, p, messages...)
	}
}

func once(es.Record) int { return 1 }

func (s *shop) relayState(context.Context) (topic.State, error) {
	s.mu.Lock()
	looked := s.looked
	s.looked = nil
	s.mu.Unlock()
	if looked != nil {
		looked()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return topic.State{}, s.away
	}
	state := s.state
	state.Last = slices.Clone(state.Last)
	return state, nil
}

// feed runs a feed until the test ends or stop is called.
func (s *shop) feed(c feed.Consumer) (f *feed.Feed, stop func()) {
	s.t.Helper()
	cfg := feed.Config{
		Consumer: c, Log: s.store, Keys: s.keys, Brokers: []string{s.addr}, Partitions: partitions, Incarnation: "memory",
		RelayState: s.relayState, Hold: s.hold, Idle: idle, Health: s.health, Registerer: s.metrics, Unanswered: 200 * time.Millisecond,
	}
	if s.moved != nil {
		cfg.Moved = func() (<-chan struct{}, func()) { return s.moved, func() {} }
	}
	f, err := feed.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(stop)
	return f, stop
}

// book is a consumer that keeps what it is given, and the checkpoint with it.
type book struct {
	mu      sync.Mutex
	at      map[int]uint64
	asked   int              // for checkpoints
	got     map[int][]uint64 // positions, as applied
	changed chan struct{}
	owned   map[int]int
	away    error                                                    // of the checkpoints
	fail    func(part int, events []es.Record) (before, after error) // may be nil
}

// choosy is a book that a few events concern.
type choosy struct {
	*book

	concerns func(es.Record) bool
}

func (c choosy) Concerns(_ int, event es.Record) bool { return c.concerns(event) }

func newBook() *book {
	return &book{at: map[int]uint64{}, got: map[int][]uint64{}, owned: map[int]int{}, changed: make(chan struct{})}
}

func (b *book) Name() string { return "book" }

func (b *book) Checkpoints(_ context.Context, parts []int) (map[int]uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.away != nil {
		return nil, b.away
	}
	out := map[int]uint64{}
	for _, p := range parts {
		out[p] = b.at[p]
	}
	return out, nil
}

func (b *book) Apply(_ context.Context, part int, after uint64, events []es.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var failAfter error
	if b.fail != nil {
		var before error
		if before, failAfter = b.fail(part, events); before != nil {
			return before
		}
	}
	if b.at[part] != after {
		return feed.ErrFenced
	}
	if len(events) == 0 || len(events) > 1000 {
		return errors.New("a chunk of no or too many events")
	}
	for _, e := range events {
		b.got[part] = append(b.got[part], e.Position)
	}
	b.at[part] = events[len(events)-1].Position
	close(b.changed)
	b.changed = make(chan struct{})
	return failAfter
}

func (b *book) Own(ctx context.Context, part int) {
	b.mu.Lock()
	b.owned[part]++
	b.mu.Unlock()
	<-ctx.Done()
	b.mu.Lock()
	b.owned[part]--
	b.mu.Unlock()
}

// await waits until the book has been applied up to the log's end, and compares it with the log: every event
// once, in order, in its partition.
func (b *book) await(t *testing.T, log *memory.Store) {
	t.Helper()
	want := map[int][]uint64{}
	for _, rec := range log.All(0) {
		p := topic.PartitionOf(rec.Stream.Partition(), partitions)
		want[p] = append(want[p], rec.Position)
	}
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		changed := b.changed
		var missing []string
		for p, positions := range want {
			if last := positions[len(positions)-1]; b.at[p] < last {
				missing = append(missing, fmt.Sprintf("partition %d at %d of %d", p, b.at[p], last))
			}
		}
		if missing == nil {
			for p := range partitions {
				if !slices.Equal(b.got[p], want[p]) {
					t.Errorf("partition %d: applied %d events\n%v\nwant %d\n%v", p, len(b.got[p]), b.got[p], len(want[p]), want[p])
				}
			}
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("not all has arrived: %s", missing)
		}
	}
}

// looks counts how often idle partitions have compared themselves with what is stored.
func (b *book) looks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// eventually waits for a condition that has no signal.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}
