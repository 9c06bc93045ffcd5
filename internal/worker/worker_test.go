package worker_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/worker"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

func TestRowsAreTheFoldOfTheLog(t *testing.T) {
	t.Parallel()
	for size, n := range map[int]int{1: 150, 7: 400, 1000: 1500} {
		pool := postgrestest.New(t)
		j := busy(n, rand.New(rand.NewPCG(uint64(size), 1)).IntN)
		w := newWorker(t, pool, all...)
		j.head(n/2).post(t, w, size)
		checkAll(t, pool, j.head(n/2))
		w.Close()
		j.post(t, newWorker(t, pool, all...), size) // a new worker goes on with rows that another wrote
		checkAll(t, pool, j)
	}
}

// Two workers that both believe they have every partition, and neither knows of the other.
func TestZombieIsFenced(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(600, rand.New(rand.NewPCG(5, 6)).IntN)
	var (
		running sync.WaitGroup
		fenced  = make([]int, 2)
		failed  = make([]error, 2)
	)
	for i := range 2 {
		w := newWorker(t, pool, all...)
		running.Go(func() { fenced[i], failed[i] = race(t.Context(), w, j, rand.New(rand.NewPCG(uint64(i), 7))) })
	}
	running.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d and %d batches fenced", fenced[0], fenced[1])
	checkAll(t, pool, j)
}

// race posts the journal in batches of any size, going back to what is stored after each error, as feed does.
func race(ctx context.Context, w *worker.Worker, j *journal, rng *rand.Rand) (fenced int, err error) {
	for p := range partitions {
		at, err := w.Checkpoints(ctx, []int{p})
		if err != nil {
			return fenced, err
		}
		for after := at[p]; after < j.last(p); {
			left := unread(j.parts[p], after)
			batch := left[:1+rng.IntN(min(len(left), 10))]
			switch err := w.Apply(ctx, p, after, batch); {
			case err == nil:
				after = batch[len(batch)-1].Position
			case errors.Is(err, feed.ErrFenced):
				fenced++
				if at, err = w.Checkpoints(ctx, []int{p}); err != nil {
					return fenced, err
				}
				after = at[p]
			default:
				return fenced, err
			}
		}
	}
	return fenced, nil
}

func TestStaleBatchChangesNothing(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(60, rand.New(rand.NewPCG(8, 9)).IntN)
	w := newWorker(t, pool, all...)
	j.post(t, w, 10)
	for p := range partitions {
		for _, after := range []uint64{0, j.parts[p][3].Position} {
			if err := w.Apply(t.Context(), p, after, unread(j.parts[p], after)); !errors.Is(err, feed.ErrFenced) {
				t.Errorf("a batch after %d of what had been applied: %v", after, err)
			}
		}
	}
	checkAll(t, pool, j)
}

// Connections are cut again and again, in the middle of whatever goes on.
func TestConnectionsCutMidBatch(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(3000, rand.New(rand.NewPCG(10, 11)).IntN)
	w := newWorker(t, pool, all...)
	ctx, cancel := context.WithCancel(t.Context())
	var cutting sync.WaitGroup
	cuts := 0
	cutting.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			var n int
			if pool.QueryRow(ctx, `select count(*) from pg_stat_activity a, lateral pg_terminate_backend(a.pid) where a.datname = current_database()
				and a.usename = current_user and a.pid <> pg_backend_pid() and state <> 'idle'`).Scan(&n) == nil {
				cuts += n
			}
			<-tick.C
		}
	})
	broken := 0
	for p := range partitions {
		for after := uint64(0); after < j.last(p); {
			left := unread(j.parts[p], after)
			batch := left[:min(len(left), 5)]
			if err := w.Apply(t.Context(), p, after, batch); err == nil {
				after = batch[len(batch)-1].Position
				continue
			}
			broken++
			if at, err := w.Checkpoints(t.Context(), []int{p}); err == nil {
				after = at[p]
			}
		}
	}
	cancel()
	cutting.Wait()
	if broken == 0 {
		t.Error("no batch was cut: the test proves nothing")
	}
	t.Logf("%d connections cut, %d batches broken", cuts, broken)
	checkAll(t, pool, j)
}

// A fold that fails takes its own read model out, and no other's batch fails for it.
func TestFailingFoldFailsItsReadModelOnly(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	broken := totals
	broken.On = []projection.Fold[total]{projection.OnKey(func(counted, es.Recorded) string { return "x" }, func(r *total, e counted, _ es.Recorded) {
		if e.N == 13 {
			panic("thirteen")
		}
		r.N += e.N
	})}
	j := newJournal()
	w := newWorkerOn(t, j, pool, parcels, broken)
	for i, n := range []int64{1, 2, 13, 4} {
		j.add("parcel-a", counted{N: n}, i, i)
	}
	p := topic.PartitionOf(j.records[0].Stream.Partition(), partitions)
	j.post(t, w, 10)
	check(t, pool, parcels, j)
	ctx, cancel := context.WithCancel(t.Context())
	var owning sync.WaitGroup
	defer owning.Wait()
	defer cancel()
	owning.Go(func() { w.Own(ctx, p) })
	until(t, func() bool {
		parked, ok := errors.AsType[*worker.ParkedError](w.Health())
		return ok && parked.Projection == "totals" && parked.Units == 1
	})
	var position, n int64 // its row comes as far as the event that it cannot fold, and the build to the end
	if err := pool.QueryRow(t.Context(), `select c.position, t.n from daybook.projection_checkpoint c, `+schemaOf(t, pool, "totals", 1)+`.totals t`).Scan(&position, &n); err != nil {
		t.Fatal(err)
	}
	if uint64(position) != j.records[3].Position || n != 3 {
		t.Errorf("it is at %d with a sum of %d, want %d and 3", position, n, j.records[3].Position)
	}
	row := strconv.Itoa(p)
	want := []spot{{row, "x", false, j.records[2].Position, "parcel.counted", true}, {row, "x", false, j.records[3].Position, "parcel.counted", false}}
	if got := spots(t, pool, "thirteen"); !slices.Equal(got, want) {
		t.Errorf("parked is %+v, want %+v", got, want)
	}
}

// until waits for a fact.
func until(t *testing.T, fact func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); !fact(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it is not so within a minute")
		}
	}
}

func TestManyMayStartAtOnce(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			w, err := worker.New(t.Context(), config(t, pool, all...))
			if err != nil {
				t.Error(err)
				return
			}
			w.Close()
		})
	}
	running.Wait()
	var builds, pointers int
	if err := pool.QueryRow(t.Context(), `select (select count(*) from daybook.projection_build), (select count(*) from daybook.projection_pointer)`).Scan(&builds, &pointers); err != nil {
		t.Fatal(err)
	}
	if builds != len(all) || pointers != len(all) {
		t.Errorf("%d builds and %d pointers for %d projections", builds, pointers, len(all))
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	newWorker(t, pool, parcels)
	with := func(change func(*worker.Config, *projection.Table[parcel])) error {
		p := parcels
		cfg := config(t, pool)
		change(&cfg, &p)
		cfg.Projections = append(cfg.Projections, p)
		_, err := worker.New(t.Context(), cfg)
		return err
	}
	another := func(p *projection.Table[parcel], schema string) { p.Name, p.Schema = "others", schema }
	type longRow struct {
		Column []string `db:"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"`
	}
	long := projection.Table[longRow]{
		Name: "long", Version: 1, Stream: "parcel", History: true, Schema: "create table long (like engine, " + strings.Repeat("n", 56) + " text[]);",
		On: []projection.Fold[longRow]{projection.On(func(*longRow, counted, es.Recorded) {})},
	}
	for want, err := range map[string]error{
		"incarnation another":                      with(func(c *worker.Config, _ *projection.Table[parcel]) { c.Incarnation = "another" }),
		"counts 3 partitions, this installation 4": with(func(c *worker.Config, _ *projection.Table[parcel]) { c.Partitions = 4 }),
		"raise its Version":                        with(func(_ *worker.Config, p *projection.Table[parcel]) { p.Schema += "\ncreate index on parcels (n);" }),
		"not in the catalog":                       with(func(c *worker.Config, _ *projection.Table[parcel]) { c.Catalog, _ = es.NewCatalog() }),
		`begins with "like engine"`: with(func(_ *worker.Config, p *projection.Table[parcel]) {
			another(p, strings.ReplaceAll(strings.ReplaceAll(parcelSchema, "like engine,", ""), "parcels", "others"))
		}),
		"column status cannot keep a string": with(func(_ *worker.Config, p *projection.Table[parcel]) {
			another(p, strings.ReplaceAll(strings.Replace(parcelSchema, "status    text", "status bytea[]", 1), "parcels", "others"))
		}),
		"column " + strings.Repeat("n", 56) + " is longer than 55 bytes": with(func(c *worker.Config, _ *projection.Table[parcel]) { c.Projections = append(c.Projections, long) }),
		"column extra is no field": with(func(_ *worker.Config, p *projection.Table[parcel]) {
			another(p, strings.ReplaceAll(strings.Replace(parcelSchema, "like engine,", "like engine, extra int,", 1), "parcels", "others"))
		}),
		"syntax error": with(func(_ *worker.Config, p *projection.Table[parcel]) { another(p, "create tabel others ();") }),
	} {
		config := &worker.ConfigError{}
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &config) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if _, err := pool.Exec(t.Context(), `update daybook.projection_build set fingerprint = substr(fingerprint, 3)`); err != nil { // as before there were layouts
		t.Fatal(err)
	}
	if err := with(func(*worker.Config, *projection.Table[parcel]) {}); err == nil || !strings.Contains(err.Error(), "`daybook recover --read-models`") {
		t.Errorf("tables of another layout: got %v", err)
	}
	if _, err := pool.Exec(t.Context(), `update daybook.projection_build set filter = filter + 1`); err != nil {
		t.Fatal(err)
	}
	if err := with(func(*worker.Config, *projection.Table[parcel]) {}); err == nil || !strings.Contains(err.Error(), "under filter 2 of what is relayed, this program has filter 1") ||
		!strings.Contains(err.Error(), checkpoint.Remedy) {
		t.Errorf("another filter: got %v", err)
	}
	var left int
	if err := pool.QueryRow(t.Context(), `select count(*) from daybook.projection_build`).Scan(&left); err != nil || left != 1 {
		t.Errorf("%d builds after refusals, %v; want 1", left, err)
	}
}

func TestResetBuildsAnew(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(100, rand.New(rand.NewPCG(12, 13)).IntN)
	w := newWorker(t, pool, all...)
	j.post(t, w, 50)
	w.Close()
	if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return worker.Forget(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
	cfg := config(t, pool, all...)
	cfg.Incarnation = "another"
	w, err := worker.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	j.post(t, w, 50)
	checkAll(t, pool, j)
}

func pointed(t *testing.T, pool *pgxpool.Pool, name string) (version int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `select b.version from daybook.projection_pointer p join daybook.projection_build b on b.id = p.build where p.projection = $1`, name).Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

func TestNewVersionServesWhenItHasCaughtUp(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(2500, rand.New(rand.NewPCG(14, 15)).IntN)
	old := newWorker(t, pool, all...)
	j.post(t, old, 500)
	old.Close()

	next, items2 := parcels, items
	next.Version, items2.Version = 2, 2
	w := newWorkerOn(t, j, pool, parcels, next, items, items2, totals) // the old code is still registered
	w.BePatient()
	j.add("parcel-k1", counted{N: 4}, 900, 900)
	j.post(t, w, 500) // the old builds are fed before the new ones have anything
	check(t, pool, parcels, j)
	for p := range partitions {
		if v := pointed(t, pool, "parcels"); v != 1 {
			t.Fatalf("version %d serves before it has caught up", v)
		}
		if p < partitions-1 {
			owned(t, w, pool, partitions-1-p, parcels, next, items, items2, totals)
		}
	}
	owned(t, w, pool, 0, parcels, next, items, items2, totals)
	for _, name := range []string{"parcels", "items"} {
		if v := pointed(t, pool, name); v != 2 {
			t.Errorf("version %d of %s serves after the new one has caught up", v, name)
		}
	}
	check(t, pool, next, j)
	check(t, pool, items2, j)
	j.add("parcel-k1", counted{N: 5}, 1000, 1000)
	j.post(t, w, 50)
	check(t, pool, next, j) // joined: one batch feeds both
	checkAll(t, pool, j)    // and the way back is open

	last := newWorkerOn(t, j, pool, all...) // an older program does not point back
	owned(t, last, pool, 0, all...)
	if v := pointed(t, pool, "parcels"); v != 2 {
		t.Errorf("an older program pointed back to version %d", v)
	}
	j.add("parcel-k1", counted{N: 6}, 1001, 1001)
	j.post(t, last, 50) // and leaves the new build behind, which catches up when its owner is back
	owned(t, w, pool, 2, parcels, next, items, items2, totals)
	owned(t, w, pool, 1, parcels, next, items, items2, totals)
	owned(t, w, pool, 0, parcels, next, items, items2, totals)
	check(t, pool, next, j)
}

// owned runs Own until every build belongs to the partition's group and, for partition 0, every new build is pointed to.
func owned(t *testing.T, w *worker.Worker, pool *pgxpool.Pool, partition int, builds ...projection.Projection) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var owning sync.WaitGroup
	defer owning.Wait()
	defer cancel()
	if _, err := w.Checkpoints(t.Context(), []int{partition}); err != nil {
		t.Fatal(err)
	}
	owning.Go(func() { w.Own(ctx, partition) })
	until(t, func() bool {
		var left int
		for _, p := range builds {
			plans, err := plan.Compile(p)
			if err != nil {
				t.Fatal(err)
			}
			var behind int
			if err := pool.QueryRow(t.Context(), `select count(*) from daybook.projection_checkpoint c join daybook.projection_build b on b.id = c.build
				where b.projection = $1 and b.version = $2 and c.part = $3`, plans[0].Name, plans[0].Version, partition).Scan(&behind); err != nil {
				t.Fatal(err)
			}
			if left += behind; partition == 0 && pointed(t, pool, plans[0].Name) < plans[0].Version {
				left++
			}
		}
		return left == 0
	})
}

// A projection that is added later catches up beside the others, while they are fed all the time.
func TestAddedProjectionCatchesUpUnderLoad(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(3000, rand.New(rand.NewPCG(16, 17)).IntN)
	first := newWorker(t, pool, parcels)
	j.head(2000).post(t, first, 500)
	first.Close()
	w := newWorkerOn(t, j, pool, all...)
	w.BePatient()
	ctx, cancel := context.WithCancel(t.Context())
	var owning, running sync.WaitGroup
	for p := range partitions {
		owning.Go(func() { w.Own(ctx, p) })
		running.Go(func() { // the rest comes in small batches, never out of order
			at, err := w.Checkpoints(t.Context(), []int{p})
			if err != nil {
				t.Error(err)
				return
			}
			after := at[p]
			for batch := range slices.Chunk(unread(j.parts[p], after), 5) {
				if err := w.Apply(t.Context(), p, after, batch); err != nil {
					t.Errorf("after %d: %v", after, err)
					return
				}
				after = batch[len(batch)-1].Position
			}
		})
	}
	running.Wait()
	cancel()
	owning.Wait()
	for p := range partitions {
		owned(t, w, pool, p, all...) // one that joined early stays joined, one that lost its chance has another
	}
	checkAll(t, pool, j)
}

func TestBuildThatCannotCatchUpIsSeen(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := newJournal()
	for i := range 20 {
		j.add("parcel-a", counted{N: int64(i)}, i, i)
	}
	j.post(t, newWorker(t, pool, parcels), 50)
	w := newWorkerOn(t, j.head(10), pool, parcels, items) // a log that has lost what was applied
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := w.Checkpoints(ctx, []int{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	for p := range partitions {
		running.Go(func() { w.Own(ctx, p) })
	}
	until(t, func() bool { return w.Health() != nil })
	if err := w.Health(); err == nil || !strings.Contains(err.Error(), "does not have event") {
		t.Errorf("got %v", err)
	}
	cancel()
	running.Wait()
}
