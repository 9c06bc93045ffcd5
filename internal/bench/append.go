package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/kit/es"
)

const (
	payloadBytes = 300 // of data, and of metadata
	batch        = 10

	storeAlone, withinProcess = "store alone", "within the process"
	batchesWithin, batchesTCP = "within the process, batches of 10, 64 writers", "TCP, batches of 10, 64 writers"
)

// payload is JSON of a size that events have.
var payload = []byte(`"` + strings.Repeat("x", payloadBytes-2) + `"`)

// goals are the ratios to reach, by writers: within the process that has the store, and over TCP.
var goals = map[int][2]float64{1: {1.3, 0.9}, 16: {2, 1.8}, 64: {5, 4}, 256: {5, 4}}

// append: appends of one event, durable when answered, each writer on a stream of its own at the revision it expects.
func (b *bench) append(ctx context.Context) error {
	if err := b.startEvents(ctx); err != nil {
		return err
	}
	if err := b.startPostgres(ctx); err != nil {
		return err
	}
	alone, err := store.Open(store.Config{Dir: filepath.Join(b.dir, "store")})
	if err != nil {
		return fmt.Errorf("open a store in this process: %w", err)
	}
	defer func() { _ = alone.Close() }()
	embedded, err := b.embed(ctx, "embedded")
	if err != nil {
		return err
	}
	defer func() { _ = embedded.close() }()
	connection, err := secrets.WithLogin(b.events.EventStore)
	if err != nil {
		return err
	}
	settings, err := esdb.ParseConnectionString(connection)
	if err != nil {
		return fmt.Errorf("address of the event store: %w", err)
	}
	settings.Logger = esdb.NoopLogging()
	official, err := esdb.NewClient(settings)
	if err != nil {
		return fmt.Errorf("official client: %w", err)
	}
	defer func() { _ = official.Close() }()
	file, err := os.Create(filepath.Join(b.dir, "bare"))
	if err != nil {
		return fmt.Errorf("file to write to: %w", err)
	}
	defer func() { _ = file.Close() }()

	both := slices.Concat(payload, payload)
	subjects := []subject{{name: "bare write + fdatasync", workers: 1, under: here(), op: func(context.Context, int) error {
		if _, err := file.Write(both); err != nil {
			return err
		}
		return datasync(file)
	}}}
	writers := []int{1, 16, 64, 256}
	for _, n := range writers {
		subjects = append(subjects,
			b.pgx(n),
			subject{name: named(storeAlone, n), workers: n, under: here(), op: inStore(alone, n)},
			subject{name: named(withinProcess, n), workers: n, under: here(), op: through(embedded.local, n, 1)},
			subject{name: named("Unix socket", n), workers: n, under: here(), op: through(embedded.socket, n, 1)},
			subject{name: named("TCP", n), workers: n, under: b.events.process(), op: through(b.store, n, 1)},
			subject{name: named("official client", n), workers: n, under: b.events.process(), op: officially(official, n)},
		)
	}
	subjects = append(subjects,
		subject{name: batchesWithin, workers: 64, per: batch, under: here(), op: through(embedded.local, 64, batch)},
		subject{name: batchesTCP, workers: 64, per: batch, under: b.events.process(), op: through(b.store, 64, batch)})
	if err := b.turns(ctx, "append", subjects...); err != nil {
		return err
	}
	for _, n := range writers {
		b.out.beside("append", named(storeAlone, n), named("pgx INSERT", n), 0)
		b.out.beside("append", named(withinProcess, n), named("pgx INSERT", n), goals[n][0])
		b.out.beside("append", named("Unix socket", n), named("pgx INSERT", n), 0)
		b.out.beside("append", named("TCP", n), named("pgx INSERT", n), goals[n][1])
		b.out.beside("append", named("official client", n), named("pgx INSERT", n), 0)
	}
	b.note(named("pgx INSERT", 256), fmt.Sprintf("over %d connections", mostConns))
	for _, r := range b.out.Rows {
		switch r.Case {
		case batchesWithin, batchesTCP:
			b.note(r.Case, aim("≥ 150 k/s", r.PerSecond >= 150_000))
		case named(withinProcess, 64), named("TCP", 64):
			b.note(r.Case, aim("p99 ≤ 5 ms", r.Latency.P99 <= 5))
		}
	}
	return nil
}

func named(what string, writers int) string {
	if writers == 1 {
		return what + ", 1 writer"
	}
	return fmt.Sprintf("%s, %d writers", what, writers)
}

func (b *bench) startEvents(ctx context.Context) (err error) {
	if b.events != nil {
		return nil
	}
	b.sayf("starting an event store")
	if b.events, err = b.start(ctx, "events", "eventstore"); err != nil {
		return err
	}
	connection, err := secrets.WithLogin(b.events.EventStore)
	if err != nil {
		return err
	}
	b.store, err = esclient.Open(ctx, esclient.Config{ConnectionString: connection})
	if err != nil {
		return fmt.Errorf("connect to the event store: %w", err)
	}
	return b.store.Ping(ctx)
}

// mostConns: Postgres takes 100 by default.
const mostConns = 64

func (b *bench) startPostgres(ctx context.Context) (err error) {
	if b.postgres != nil {
		return nil
	}
	b.sayf("starting a Postgres")
	if b.postgres, err = b.start(ctx, "postgres", "postgres"); err != nil {
		return err
	}
	if b.pool, err = postgres.Open(ctx, b.postgres.Postgres, postgres.Options{Name: "bench", MaxConns: mostConns}); err != nil {
		return err
	}
	if _, err = b.pool.Exec(ctx, `create table bench_events (stream text not null, revision bigint not null, id uuid not null,
		type text not null, data bytea not null, meta bytea not null, primary key (stream, revision))`); err != nil {
		return fmt.Errorf("table of events: %w", err)
	}
	return b.askPostgres(ctx, b.pool)
}

// askPostgres sees to it that what is compared with is durable too.
func (b *bench) askPostgres(ctx context.Context, pool *pgxpool.Pool) error {
	var fsync, commit string
	err := pool.QueryRow(ctx, `select current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')`).
		Scan(&b.out.Machine.Postgres, &fsync, &commit)
	if err == nil && (fsync != "on" || commit != "on") {
		err = fmt.Errorf("it would be no match: fsync is %s, synchronous_commit %s", fsync, commit)
	}
	if err != nil {
		return fmt.Errorf("ask Postgres how it is set: %w", err)
	}
	return nil
}

// pgx is what everything is held to: one INSERT per event, synchronous commit.
func (b *bench) pgx(writers int) subject {
	b.inserts++
	round, at := b.inserts, make([]int64, writers)
	return subject{name: named("pgx INSERT", writers), workers: writers, under: b.postgres.process(), op: func(ctx context.Context, w int) error {
		at[w]++
		_, err := b.pool.Exec(ctx, `insert into bench_events (stream, revision, id, type, data, meta) values ($1, $2, $3, $4, $5, $6)`,
			fmt.Sprintf("s%d-%d", round, w), at[w], uuid.New(), "bench.happened", payload, payload)
		return err
	}}
}

func inStore(s *store.Store, writers int) func(context.Context, int) error {
	at := make([]store.Expected, writers)
	for w := range at {
		at[w] = store.ExpectNoStream
	}
	return func(_ context.Context, w int) error {
		r := s.Do(store.Request{
			Stream: fmt.Sprintf("s%d-%d", writers, w), Expected: at[w],
			Events: []store.Event{{ID: store.ID(uuid.New()), Type: "bench.happened", JSON: true, Data: payload, Meta: payload}},
		})
		at[w] = store.Expected(r.Revision)
		return r.Err
	}
}

// streams makes sure that no two subjects write to the same ones.
var streams atomic.Int64

func through(c *esclient.Client, writers, per int) func(context.Context, int) error {
	subject := streams.Add(1)
	at := make([]es.Expected, writers)
	for w := range at {
		at[w] = es.NoStream
	}
	return func(ctx context.Context, w int) error {
		events := make([]es.Proposed, per)
		for i := range events {
			events[i] = es.Proposed{ID: es.UUID(uuid.New()), Type: "bench.happened", Data: payload, Meta: payload}
		}
		_, err := c.Append(ctx, es.StreamID{Category: "bench", Key: fmt.Sprintf("%d-%d", subject, w)}, at[w], events)
		at[w] += es.Expected(per)
		return err
	}
}

func officially(c *esdb.Client, writers int) func(context.Context, int) error {
	name := "official-" + rand.Text()
	at := make([]uint64, writers)
	return func(ctx context.Context, w int) error {
		o := esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}
		if at[w] > 0 {
			o.ExpectedRevision = esdb.Revision(at[w] - 1)
		}
		at[w]++
		_, err := c.AppendToStream(ctx, fmt.Sprintf("%s%d", name, w), o, esdb.EventData{
			EventID: uuid.New(), EventType: "bench.happened", ContentType: esdb.ContentTypeJson, Data: payload, Metadata: payload,
		})
		return err
	}
}
