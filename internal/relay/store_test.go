package relay

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/internal/embedded/kafkaserver"
	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// The whole way, by the protocols: event store server, its client, relay, broker, Postgres.
func TestTheRealStoreIsRelayed(t *testing.T) {
	t.Parallel()
	server, err := eventserver.Start(t.Context(), eventserver.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	client, err := esclient.Open(t.Context(), esclient.Config{ConnectionString: fmt.Sprintf("esdb://%s?tls=false", server.Addr())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	w := newWorld(t)
	cfg := w.config()
	cfg.Log = client
	write := func(key string) uint64 {
		position, err := client.Append(t.Context(), es.StreamID{Category: "order", Key: key}, es.NoStream, []es.Proposed{
			{ID: es.CommandID("t", "a", key, "1"), Type: "order.tested", Data: []byte(`{"a":1}`), Meta: []byte(`{"schema":1}`)},
			{ID: es.CommandID("t", "a", key, "2"), Type: "order.tested", Data: []byte(`{"a":2}`), Meta: []byte(`{"schema":1}`)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return position
	}
	for i := range 50 {
		write(fmt.Sprint("before-", i))
	}
	w.start(cfg)
	var took []time.Duration
	for i := range 100 {
		position := write(fmt.Sprint("after-", i))
		began := time.Now()
		w.await("the event", func(s topic.State) bool { return s.Position >= position })
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("acknowledged to checkpoint readable: p50 %v, p99 %v", took[50].Round(10*time.Microsecond), took[98].Round(10*time.Microsecond))

	want := make([][]es.Record, testPartitions)
	for rec, err := range client.ReadAll(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		p := topic.PartitionOf(rec.Stream.Partition(), testPartitions)
		want[p] = append(want[p], rec)
	}
	count := 0
	for p, messages := range w.topicNow() {
		if len(messages) != len(want[p]) {
			t.Fatalf("partition %d has %d messages, the log %d", p, len(messages), len(want[p]))
		}
		for i, m := range messages {
			if got, want := fmt.Sprintf("%+v", m.Record), fmt.Sprintf("%+v", want[p][i]); got != want {
				t.Fatalf("partition %d: relayed %s, stored %s", p, got, want)
			}
			count++
		}
	}
	if count < 300 {
		t.Errorf("only %d events", count)
	}
}

// Events per second from a log in memory into the embedded broker, checkpoints included.
func BenchmarkRelay(b *testing.B) {
	broker, err := kafkaserver.Start(b.Context(), kafkaserver.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer broker.Close()
	pool, store := postgrestest.New(b), memory.New()
	data := make([]byte, 600)
	for i := range data {
		data[i] = 'x'
	}
	for i := range b.N {
		_, err := store.Append(b.Context(), es.StreamID{Category: "order", Key: strconv.Itoa(i)}, es.NoStream, []es.Proposed{{
			ID: es.DerivedID(es.UUID{}, i), Type: "order.tested", Data: data, Meta: data[:300]}})
		if err != nil {
			b.Fatal(err)
		}
	}
	r, err := New(Config{Log: store, Pool: pool, Brokers: []string{broker.Addr()}})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	go func() { _ = r.Run(b.Context()) }()
	for {
		s, err := topic.LoadState(b.Context(), pool)
		if err != nil {
			b.Fatal(err)
		}
		if s.Position == uint64(b.N) {
			break
		}
		_ = backoff.Wait(b.Context(), time.Millisecond)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
