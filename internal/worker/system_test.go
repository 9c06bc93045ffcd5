package worker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/embedded/kafkaserver"
	"github.com/daybook-dev/daybook/internal/embedded/pgserver"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/reader"
	"github.com/daybook-dev/daybook/internal/relay"
	"github.com/daybook-dev/daybook/internal/testenv/ports"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/topic/topictest"
	"github.com/daybook-dev/daybook/internal/worker"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// line is everything from the log to the query: relay, broker, feeds, workers, reader. Only the log is in memory.
type line struct {
	t      *testing.T
	store  *memory.Store
	pool   *pgxpool.Pool
	broker *kafkaserver.Server
	reader *reader.Reader
	view   query.View
	at     map[string]es.Expected
}

func newLine(t *testing.T, pool *pgxpool.Pool) *line {
	t.Helper()
	l := &line{t: t, store: memory.New(), pool: pool, at: map[string]es.Expected{}}
	l.startBroker(ports.Address(t))
	t.Cleanup(func() {
		if err := l.broker.Close(); err != nil {
			t.Error(err)
		}
	})
	r, err := relay.New(relay.Config{Log: l.store, Keys: topictest.Keys(l.t), Pool: l.pool, Brokers: []string{l.broker.Addr()}, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	l.run(r.Run)
	listening, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	listener := postgres.Listen(listening, l.pool.Config().ConnString(), nil)
	t.Cleanup(func() { stop(); <-listener.Done() })
	l.reader, err = reader.New(reader.Config{Pool: l.pool, Partitions: partitions, Listener: listener})
	if err != nil {
		t.Fatal(err)
	}
	if l.view, err = l.reader.View(parcels); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *line) startBroker(listen string) {
	l.t.Helper()
	var err error
	if l.broker, err = kafkaserver.Start(l.t.Context(), kafkaserver.Config{Dir: l.t.TempDir(), Listen: listen}); err != nil {
		l.t.Fatal(err)
	}
}

// run keeps something running until the test ends or stop is called.
func (l *line) run(f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.t.Context()))
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			l.t.Error(err)
		}
	})
	l.t.Cleanup(stop)
	return stop
}

// projector runs a worker with its feed.
func (l *line) projector() (stop func()) {
	l.t.Helper()
	cfg := config(l.t, l.pool, all...)
	cfg.Log = l.store
	w, err := worker.New(l.t.Context(), cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	f, err := feed.New(feed.Config{
		Keys:     topictest.Keys(l.t),
		Consumer: w, Log: l.store, Brokers: []string{l.broker.Addr()}, Partitions: partitions, Incarnation: "memory", Idle: 200 * time.Millisecond,
		RelayState: func(ctx context.Context) (topic.State, error) { return topic.LoadState(ctx, l.pool) },
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return l.run(func(ctx context.Context) error {
		defer w.Close()
		return f.Run(ctx)
	})
}

// append records what a journal holds, and gives the position of its last event.
func (l *line) append(j *journal) (end uint64) {
	l.t.Helper()
	for _, rec := range j.records {
		s := rec.Stream.String()
		at, ok := l.at[s]
		if !ok {
			at = es.NoStream
		}
		id := es.CommandID("test", s, fmt.Sprint(at), "")
		var err error
		if end, err = l.store.Append(l.t.Context(), rec.Stream, at, []es.Proposed{{ID: id, Type: rec.Type, Data: rec.Data, Meta: rec.Meta}}); err != nil {
			l.t.Fatal(err)
		}
		l.at[s] = at + 1
	}
	return end
}

// settled waits until the queries show everything, and compares all rows with the fold of the log.
func (l *line) settled(end uint64) {
	l.t.Helper()
	for _, ps := range [][]projection.Projection{{parcels}, {items}, {totals}} {
		v := viewOf(l.t, l.pool, ps...)
		if _, err := v.Read(l.t.Context(), query.Ask{MinPosition: end, Wait: time.Minute}, func(context.Context, query.Snapshot) error { return nil }); err != nil {
			l.t.Fatal(err)
		}
	}
	j := newJournal()
	for _, rec := range l.store.All(0) {
		rec.Created = es.Micro(rec.Created)
		j.records = append(j.records, rec)
		p := topic.PartitionOf(rec.Stream.Partition(), partitions)
		j.parts[p] = append(j.parts[p], rec)
	}
	checkAll(l.t, l.pool, j)
}

func TestFromTheLogToTheQuery(t *testing.T) {
	t.Parallel()
	l := newLine(t, postgrestest.New(t))
	rng := rand.New(rand.NewPCG(30, 31))
	l.projector()
	l.settled(l.append(busy(500, rng.IntN)))

	var took []time.Duration
	for i := range 50 { // one's own write, read at once: a single row, and everything
		one := newJournal()
		one.add("parcel-own", counted{N: int64(i)}, 5000, 0)
		begin := time.Now()
		end := l.append(one)
		d, answer, err := query.One[detail](t.Context(), l.view, query.Ask{Key: "own", MinPosition: end, Wait: time.Minute},
			`select `+query.Columns[detail]()+` from {parcels} where key = 'own'`)
		if err != nil || d == nil || d.Position != int64(end) || answer.Position < end {
			t.Fatalf("own write at %d: %+v, %+v, %v", end, d, answer, err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	t.Logf("from append to the row read: p50 %s, p95 %s", took[len(took)/2], took[len(took)*95/100])
	l.settled(l.append(busy(10, rng.IntN)))
}

// A reader that follows a row is woken by changes in its partition, and not by those in others or by the relay.
func TestWatchersAreWokenForTheirPartition(t *testing.T) {
	t.Parallel()
	l := newLine(t, postgrestest.New(t))
	l.projector()
	l.settled(l.append(busy(50, rand.New(rand.NewPCG(36, 37)).IntN)))
	own := l.reader.Partition("own")
	var other string
	for i := 0; other == "" || l.reader.Partition(other) == own; i++ {
		other = fmt.Sprint("other", i)
	}
	wake, cancel := l.reader.Watch(func(partition int) bool { return partition == own })
	defer cancel()
	count := func(key string) {
		t.Helper()
		j := newJournal()
		j.add("parcel-"+key, counted{N: 1}, 5000, 0)
		l.settled(l.append(j))
	}
	// Postgres notifies in the order of commits: who has heard of a change has heard of those before it.
	elsewhere, cancelElsewhere := l.reader.Watch(func(partition int) bool { return partition == l.reader.Partition(other) })
	defer cancelElsewhere()
	heard := func(by <-chan struct{}) {
		t.Helper()
		select {
		case <-by:
		case <-time.After(time.Minute):
			t.Fatal("not woken by its own")
		}
	}
	quiet := func() bool {
		select {
		case <-wake:
			return false
		case <-time.After(300 * time.Millisecond):
			return true
		}
	}
	for range 2 { // the first may have been of what was before
		count(other)
		heard(elsewhere)
	}
	quiet()
	count(other)
	heard(elsewhere)
	if !quiet() {
		t.Error("woken by another partition's rows")
	}
	count("own")
	heard(wake)
}

// Workers come and go, alone and together, while the broker is replaced by an empty one again and again.
func TestWorkersAndBrokersComeAndGo(t *testing.T) {
	t.Parallel()
	l := newLine(t, postgrestest.New(t))
	rng := rand.New(rand.NewPCG(32, 33))
	stop := l.projector()
	var end uint64
	for range 3 {
		l.append(busy(300, rng.IntN))
		next := l.projector() // joins while the first works
		l.append(busy(100, rng.IntN))
		stop()
		stop = next
		if err := l.broker.Close(); err != nil {
			t.Fatal(err)
		}
		l.append(busy(100, rng.IntN))
		l.startBroker(l.broker.Addr())
		end = l.append(busy(100, rng.IntN))
	}
	l.settled(end)
	stop()
	end = l.append(busy(100, rng.IntN))
	stop = l.projector()
	l.settled(end)
	stop()
}

// kill -9 of Postgres takes back the last batches that were committed without waiting for the disk, those of partitions
// that are idle afterwards among them.
func TestPostgresKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	server, err := pgserver.Start(t.Context(), pgserver.Config{Dir: filepath.Join(postgrestest.Dir(t), "postgres"), Disposable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := postgres.Migrate(t.Context(), server.URL()); err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(t.Context(), server.URL(), postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	l := newLine(t, pool)
	rng := rand.New(rand.NewPCG(34, 35))
	l.projector()
	l.settled(l.append(busy(100, rng.IntN)))
	var end uint64
	for range 5 {
		end = l.append(busy(300, rng.IntN))
		middle := query.Ask{MinPosition: end - 250, Wait: time.Minute}
		if _, err := l.view.Read(t.Context(), middle, func(context.Context, query.Snapshot) error { return nil }); err != nil {
			t.Fatal(err)
		}
		before := server.PID()
		if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		back := time.NewTicker(20 * time.Millisecond)
		for <-back.C; server.PID() == before || pool.Ping(t.Context()) != nil; <-back.C {
			if err := t.Context().Err(); err != nil {
				t.Fatal(err)
			}
		}
		back.Stop()
	}
	l.settled(end)
}
