package reader_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/reader"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

type row struct {
	N int64 `db:"n"`
}

type counted struct{}

func (counted) EventType() string { return "thing.counted" }

var thing = projection.Table[row]{
	Name: "thing", Version: 1, Stream: "thing", Schema: "create table thing (like engine, n bigint not null)",
	On: []projection.Fold[row]{projection.On(func(r *row, _ counted, _ es.Recorded) { r.N++ })},
}

// rows is a read model of one build without rows, whose checkpoints tests move.
type rows struct {
	pool    *pgxpool.Pool
	queries atomic.Int64 // snapshots that were taken for a query
	looks   atomic.Int64 // what else was asked
	reader  *reader.Reader
	view    query.View
}

func (r *rows) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (r *rows) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r *rows) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	if strings.HasPrefix(d.Batch.QueuedQueries[0].SQL, "begin") {
		r.queries.Add(1)
	} else {
		r.looks.Add(1)
	}
	return ctx
}
func (r *rows) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (r *rows) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func begin(t *testing.T, partitions int) *rows {
	t.Helper()
	r := &rows{pool: postgrestest.New(t)}
	r.do(t, `with b as (insert into daybook.projection_build (projection, version, schema_name, partitions, incarnation, fingerprint)
		values ('thing', 1, 'thing_1', $1, 'one', '') returning id) insert into daybook.projection_pointer (projection, build) select 'thing', id from b`, partitions)
	r.do(t, `delete from daybook.projection_group`)
	r.do(t, `insert into daybook.projection_group (part, position) select p, 0 from generate_series(0, $1 - 1) p`, partitions)
	cfg := r.pool.Config()
	cfg.ConnConfig.Tracer = r
	traced, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(traced.Close)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	listener := postgres.Listen(ctx, cfg.ConnString(), nil)
	t.Cleanup(func() { stop(); <-listener.Done() })
	made, err := reader.New(reader.Config{Pool: traced, Listener: listener, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	if r.view, err = made.View(thing); err != nil {
		t.Fatal(err)
	}
	r.reader = made
	return r
}

func (r *rows) do(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := r.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func (r *rows) read(ctx context.Context, ask query.Ask) error {
	_, err := r.view.Read(ctx, ask, func(context.Context, query.Snapshot) error { return nil })
	return err
}

// until waits for a fact.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for began := time.Now(); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("not seen: " + what)
		}
	}
}

// Queries that wait for a position ask for nothing while they wait: one look in the process serves all of them, at each change and
// now and then. Each is answered once the position has been reached, by a query of its own.
func TestWaitingQueriesAskNothing(t *testing.T) {
	t.Parallel()
	const n, partitions = 2000, 12
	r := begin(t, partitions)
	var g sync.WaitGroup
	failed := make(chan error, n)
	for i := range n {
		g.Go(func() {
			ask := query.Ask{MinPosition: 100, Wait: 5 * time.Minute}
			if i%10 > 0 { // the others wait for every partition
				ask.Key = strconv.Itoa(i)
			}
			if err := r.read(t.Context(), ask); err != nil {
				failed <- err
			}
		})
	}
	until(t, "each query has looked", func() bool { return r.queries.Load() >= n })
	quiet := r.looks.Load()
	until(t, "looks for what was not announced", func() bool { return r.looks.Load() >= quiet+3 }) // so all have begun to wait
	began, before := time.Now(), r.looks.Load()
	const changes = 20
	for p := range changes {
		r.do(t, `select pg_notify($1, $2)`, topic.Moved, topic.RowsMoved([]int{p % partitions}))
	}
	until(t, "more looks", func() bool { return r.looks.Load() >= before+10 })
	sweeps := int64(time.Since(began)/(100*time.Millisecond)) + 1
	if asked := r.looks.Load() - before; asked > changes+sweeps+5 {
		t.Errorf("%d looks for %d changes and %d sweeps", asked, changes, sweeps)
	}
	if asked := r.queries.Load(); asked > n {
		t.Errorf("%d queries of %d that wait", asked, n)
	}
	r.do(t, `update daybook.projection_group set position = 100`)
	r.do(t, `select pg_notify($1, '')`, topic.Moved)
	g.Wait()
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
}

// A query that has to wait is answered once its partition has come far enough, whatever others do, notified or not, and not later
// than its time; its caller may leave.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	r := begin(t, 2)
	key := [2]string{}
	for i := 0; key[0] == "" || key[1] == ""; i++ {
		made, err := reader.New(reader.Config{Pool: r.pool, Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		key[made.Partition(strconv.Itoa(i))] = strconv.Itoa(i)
	}
	start := func(ctx context.Context, ask query.Ask) <-chan error {
		ended := make(chan error, 1)
		go func() { ended <- r.read(ctx, ask) }()
		return ended
	}
	long := func(key string, at uint64) query.Ask {
		return query.Ask{Key: key, MinPosition: at, Wait: 5 * time.Minute}
	}
	first, second, both := start(t.Context(), long(key[0], 5)), start(t.Context(), long(key[1], 5)), start(t.Context(), long("", 5))
	r.do(t, `update daybook.projection_group set position = 5 where part = 0`) // of which nothing is said
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	if err := r.read(t.Context(), query.Ask{Key: key[1], MinPosition: 5, Wait: 20 * time.Millisecond}); !errors.Is(err, query.ErrNotYet) || !strings.Contains(err.Error(), "asked for 5") {
		t.Errorf("its time is up: %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	third := start(gone, long(key[1], 9))
	leave()
	if err := <-third; !errors.Is(err, context.Canceled) {
		t.Errorf("its caller left: %v", err)
	}
	select {
	case err := <-second:
		t.Fatalf("answered before its partition had come so far: %v", err)
	case err := <-both:
		t.Fatalf("answered before all partitions had come so far: %v", err)
	default:
	}
	r.do(t, `update daybook.projection_group set position = 5`)
	for _, ended := range []<-chan error{second, both} {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	// The next one finds no look running, and begins one.
	later := start(t.Context(), long(key[0], 6))
	r.do(t, `update daybook.projection_build set version = 2`)
	if err := <-later; !errors.Is(err, query.ErrRebuilding) {
		t.Errorf("another version serves: %v", err)
	}
}

// A read of what is known as of now does not wait until a relay that rests looks by itself.
func TestAReadOfNowAsksTheRelayToLook(t *testing.T) {
	t.Parallel()
	r := begin(t, 2)
	past := thing
	past.History = true
	view, err := r.reader.View(past)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := r.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), `listen `+topic.Wanted); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := view.Read(ctx, query.Ask{Moment: query.Moment{KnownAt: new(time.Now())}, Wait: 5 * time.Minute}, func(context.Context, query.Snapshot) error { return nil })
		ended <- err
	}()
	if _, err := conn.Conn().WaitForNotification(ctx); err != nil {
		t.Errorf("the relay was not asked: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("its caller left: %v", err)
	}
}
