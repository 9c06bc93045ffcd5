package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/daybook-dev/daybook/internal/embedded/kafkaserver"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/testenv/ports"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

const testPartitions = 4

// world is a store, a database and a broker with relays between them.
type world struct {
	*testing.T

	store  *memory.Store
	log    *flakyLog
	pool   *pgxpool.Pool
	kafka  string // address
	dir    string // of the embedded broker, for a new one in its place
	broker *kafkaserver.Server
	topic  string
	next   int // of the events appended
	at     map[es.StreamID]es.Expected
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := newWorldOn(t, "", "events")
	w.dir = t.TempDir()
	w.startBroker(ports.Address(t))
	t.Cleanup(func() { _ = w.broker.Close() })
	return w
}

// newWorldOn is a world on a broker that others started.
func newWorldOn(t *testing.T, kafka, topic string) *world {
	t.Helper()
	w := &world{T: t, store: memory.New(), pool: postgrestest.New(t), topic: topic, kafka: kafka, at: map[es.StreamID]es.Expected{}}
	w.store.Step = 3 // real positions have gaps
	w.log = &flakyLog{Log: w.store}
	return w
}

func (w *world) startBroker(at string) {
	w.Helper()
	b, err := kafkaserver.Start(w.Context(), kafkaserver.Config{Dir: w.dir, Listen: at})
	if err != nil {
		w.Fatal(err)
	}
	w.broker, w.kafka = b, b.Addr()
}

// replaceBroker puts an empty broker in the broker's place.
func (w *world) replaceBroker() {
	w.Helper()
	at := w.broker.Addr()
	_ = w.broker.Close()
	w.startBroker(at)
}

func testKeys(tb testing.TB) *topic.Keys {
	tb.Helper()
	keys, err := topic.NewKeys(func() ([][]byte, error) { return [][]byte{make([]byte, 32)}, nil }, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

func (w *world) config() Config {
	return Config{Log: w.log, Pool: w.pool, Brokers: []string{w.kafka}, Keys: testKeys(w), Topic: w.topic, Partitions: testPartitions,
		IdleEvery: 20 * time.Millisecond, StandbyEvery: 20 * time.Millisecond, BatchBytes: 20_000, BufferBytes: 200_000}
}

// start runs a relay; stop ends it and waits.
func (w *world) start(cfg Config) (r *Relay, stop func() error) {
	w.Helper()
	r, err := New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	w.Cleanup(func() { _ = stop() })
	return r, stop
}

// append adds n events of 20 streams, some with a number, and among them the store's own.
func (w *world) append(n int) {
	w.Helper()
	for range n {
		i := w.next
		w.next++
		s := es.StreamID{Category: "order", Key: fmt.Sprintf("O%d", i%20), N: i % 3}
		if i%17 == 0 {
			s = es.AnyStreamID("$settings")
		}
		w.appendTo(s, fmt.Sprintf(`{"i":%d}`, i))
	}
}

func (w *world) appendTo(s es.StreamID, data string) uint64 {
	w.Helper()
	at, ok := w.at[s]
	if !ok {
		at = es.NoStream
	}
	position, err := w.store.Append(w.Context(), s, at, []es.Proposed{{
		ID: es.DerivedID(es.UUID{}, s.String(), int64(at)), Type: "order.tested", Data: []byte(data), Meta: []byte(`{"schema":1}`)}})
	if err != nil {
		w.Fatal(err)
	}
	w.at[s] = at + 1
	return position
}

// settled waits until the checkpoint is at the end of the log.
func (w *world) settled() topic.State {
	w.Helper()
	end, err := w.store.End(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return w.await(fmt.Sprintf("position %d", end), func(s topic.State) bool { return s.Position == end })
}

func (w *world) epoch() (n int) {
	w.Helper()
	if err := w.pool.QueryRow(w.Context(), `select epoch from daybook.relay`).Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}

func (w *world) await(what string, ok func(topic.State) bool) topic.State {
	w.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		s, err := topic.LoadState(w.Context(), w.pool)
		if err != nil {
			w.Fatal(err)
		}
		if ok(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatalf("not within a minute: %s; the checkpoint is %+v", what, s)
		}
	}
}

// deleteTopic deletes the topic, which comes again empty.
func (w *world) deleteTopic() {
	w.Helper()
	c, done := w.client()
	defer done()
	res, err := c.DeleteTopics(w.Context(), &kafka.DeleteTopicsRequest{Topics: []string{w.topic}})
	if err != nil {
		w.Fatal(err)
	}
	if err := res.Errors[w.topic]; err != nil && !errors.Is(err, kafka.UnknownTopicOrPartition) {
		w.Fatal(err)
	}
}

func (w *world) client() (c *kafka.Client, done func()) {
	transport := &kafka.Transport{}
	return &kafka.Client{Addr: kafka.TCP(w.kafka), Transport: transport, Timeout: 10 * time.Second}, transport.CloseIdleConnections
}

// deleteRecords deletes what a partition holds now.
func (w *world) deleteRecords(partition int32) {
	w.Helper()
	req, topic, p := kmsg.NewPtrDeleteRecordsRequest(), kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	topic.Topic, p.Partition, p.Offset = w.topic, partition, -1
	topic.Partitions, req.TimeoutMillis = append(topic.Partitions, p), 1000
	req.Topics = append(req.Topics, topic)
	req.SetVersion(1)
	frame := []byte{0, 0, 0, 0, 0, byte(req.Key()), 0, 1, 0, 0, 0, 7, 0xff, 0xff}
	frame = req.AppendTo(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	c, err := net.Dial("tcp", w.kafka)
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(frame); err != nil {
		w.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 8)); err != nil {
		w.Fatal(err)
	}
}

// partitions gives the log as each partition should have it.
func (w *world) partitions() [][]topic.Message {
	w.Helper()
	out := make([][]topic.Message, testPartitions)
	last := make([]uint64, testPartitions)
	incarnation, _ := w.log.Incarnation(w.Context())
	for rec, err := range w.store.ReadAll(w.Context(), 0) {
		if err != nil {
			w.Fatal(err)
		}
		p := topic.PartitionOf(rec.Stream.Partition(), testPartitions)
		out[p] = append(out[p], topic.Message{Record: rec, Prev: last[p], Incarnation: incarnation, Filter: es.RelayFilter})
		last[p] = rec.Position
	}
	return out
}

// topicNow reads what Kafka has, decoded.
func (w *world) topicNow() [][]topic.Message {
	w.Helper()
	c, done := w.client()
	defer done()
	out := make([][]topic.Message, testPartitions)
	for p := range out {
		res, err := c.ListOffsets(w.Context(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{w.topic: {kafka.FirstOffsetOf(p), kafka.LastOffsetOf(p)}}})
		if err != nil {
			w.Fatal(err)
		}
		at, end := res.Topics[w.topic][0].FirstOffset, res.Topics[w.topic][0].LastOffset
		for at < end {
			got, err := c.Fetch(w.Context(), &kafka.FetchRequest{Topic: w.topic, Partition: p, Offset: at, MinBytes: 1, MaxBytes: 8 << 20, MaxWait: time.Second})
			if err == nil {
				err = got.Error
			}
			if err != nil {
				w.Fatal(err)
			}
			for {
				r, err := got.Records.ReadRecord()
				if err != nil {
					break
				}
				if r.Offset < at {
					continue
				}
				key, _ := kafka.ReadAll(r.Key)
				value, _ := kafka.ReadAll(r.Value)
				m, err := testKeys(w).Open(kafka.Message{Topic: w.topic, Partition: p, Offset: r.Offset, Key: key, Value: value, Headers: r.Headers})
				if err != nil {
					w.Fatal(err)
				}
				out[p], at = append(out[p], m), r.Offset+1
			}
		}
	}
	return out
}

// consumed is what a consumer makes of a partition that begins empty-handed: mechanisms' rule for duplicates and gaps.
type consumed struct{ duplicates, heals, healed int }

// checkTopic plays consumer on every partition: every message must be an event of the log with the true ce_prev, and
// the consumer must end with exactly the log. It counts what that took.
func (w *world) checkTopic(state topic.State) consumed {
	w.Helper()
	var sum consumed
	want, got := w.partitions(), w.topicNow()
	for p := range want {
		truth := map[uint64]topic.Message{}
		for _, m := range want[p] {
			truth[m.Record.Position] = m
		}
		at := uint64(0)
		var applied []uint64
		heal := func(to uint64) {
			sum.heals++
			for _, m := range want[p] {
				if m.Record.Position > at && m.Record.Position <= to {
					applied = append(applied, m.Record.Position)
					sum.healed++
				}
			}
			at = to
		}
		for _, m := range got[p] {
			real, ok := truth[m.Record.Position]
			if !ok || !slices.Equal(m.Record.Data, real.Record.Data) || m.Record.ID != real.Record.ID || m.Record.Stream != real.Record.Stream ||
				m.Record.Revision != real.Record.Revision || !m.Record.Created.Equal(real.Record.Created) || m.Incarnation != real.Incarnation {
				w.Fatalf("partition %d: message %+v is not the log's %+v", p, m, real)
			}
			if m.Prev != real.Prev {
				w.Fatalf("partition %d position %d: ce_prev %d, the truth is %d", p, m.Record.Position, m.Prev, real.Prev)
			}
			switch {
			case m.Record.Position <= at:
				sum.duplicates++
				continue
			case m.Prev > at:
				heal(m.Prev)
			}
			applied, at = append(applied, m.Record.Position), m.Record.Position
		}
		if at < state.Last[p] {
			heal(state.Last[p])
		}
		var all []uint64
		for _, m := range want[p] {
			all = append(all, m.Record.Position)
		}
		if !slices.Equal(applied, all) {
			w.Fatalf("partition %d: a consumer ends with %d events, the log has %d", p, len(applied), len(all))
		}
		if len(all) > 0 && state.Last[p] != all[len(all)-1] {
			w.Fatalf("partition %d: last position %d, want %d", p, state.Last[p], all[len(all)-1])
		}
	}
	return sum
}

// flakyLog can be made to fail.
type flakyLog struct {
	es.Log

	mu     sync.Mutex
	cut    []context.CancelFunc
	down   error
	become string
	silent int // how many questions who it is get no answer yet
}

func (l *flakyLog) Follow(ctx context.Context, after uint64) iter.Seq2[es.Record, error] {
	ctx, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	down := l.down
	l.cut = append(l.cut, cancel)
	l.mu.Unlock()
	return func(yield func(es.Record, error) bool) {
		defer cancel()
		if down != nil {
			yield(es.Record{}, down)
			return
		}
		l.Log.Follow(ctx, after)(yield)
	}
}

// fail cuts everyone who follows, and lets none follow again while err is not nil.
func (l *flakyLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = err
	for _, cut := range l.cut {
		cut()
	}
	l.cut = nil
}

func (l *flakyLog) Incarnation(ctx context.Context) (string, error) {
	l.mu.Lock()
	become, silent := l.become, l.silent > 0
	if silent {
		l.silent--
	}
	l.mu.Unlock()
	if silent {
		<-ctx.Done()
		return "", ctx.Err()
	}
	if become != "" {
		return become, nil
	}
	return l.Log.Incarnation(ctx)
}

func (l *flakyLog) replace(incarnation string) {
	l.mu.Lock()
	l.become = incarnation
	l.mu.Unlock()
	l.fail(nil)
}
