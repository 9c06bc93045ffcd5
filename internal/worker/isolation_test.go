package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/worker"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// lock keeps a table locked by a third party until free is called.
func lock(t *testing.T, pool *pgxpool.Pool, table string) (free func()) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "lock table "+table); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

// Whatever is wrong with one read model's tables, the others have every event within moments, and the one in trouble has them, too,
// when the trouble is over, and goes with the others again.
func TestTroubleOfOneReadModelIsItsOwn(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(t *testing.T, pool *pgxpool.Pool, table string) (mend func()){
		"locked": lock,
		"slow": func(t *testing.T, pool *pgxpool.Pool, table string) func() {
			t.Helper()
			execute(t, pool, `create or replace function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(0.6); return new; end $$`)
			execute(t, pool, "create trigger dawdle before insert or update on "+table+" for each statement execute function dawdle()")
			return func() { execute(t, pool, "drop function dawdle cascade") }
		},
		"refusing": func(t *testing.T, pool *pgxpool.Pool, table string) func() {
			t.Helper()
			execute(t, pool, "alter table "+table+" add constraint never check (version < 0) not valid")
			return func() { execute(t, pool, "alter table "+table+" drop constraint never") }
		},
		"gone": func(t *testing.T, pool *pgxpool.Pool, table string) func() {
			t.Helper()
			execute(t, pool, "alter table "+table+" rename to hidden")
			return func() { execute(t, pool, "alter table "+strings.TrimSuffix(table, "items")+"hidden rename to items") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.New(t)
			j := busy(400, rand.New(rand.NewPCG(30, 31)).IntN)
			w := newWorkerOn(t, j, pool, all...)
			ctx, cancel := context.WithCancel(t.Context())
			var owning sync.WaitGroup
			defer owning.Wait()
			defer cancel()
			j.head(100).post(t, w, 10)
			for p := range partitions {
				owning.Go(func() { w.Own(ctx, p) })
			}
			mend := sync.OnceFunc(harm(t, pool, schemaOf(t, pool, "items", 1)+".items"))
			defer mend()
			begin := time.Now()
			j.post(t, w, 10)
			t.Logf("%d events for the others in %v", 300, time.Since(begin))
			check(t, pool, parcels, j)
			check(t, pool, totals, j)
			if w.Apart()["items"] == 0 || len(w.Apart()) != 1 {
				t.Fatalf("by themselves go %v: nothing was harmed, or others were", w.Apart())
			}
			if name != "slow" {
				until(t, func() bool { return w.Health() != nil })
			}
			mend()
			if name == "refusing" { // each event, one by one
				until(t, func() bool { return reached(t, pool, j) })
				for _, s := range spots(t, pool, "") {
					j.add(operation.Stream(es.StreamID{Category: "parcel", Key: s.Key}).String(), operation.RowRetried{Row: operation.Row{Projection: "items", Key: s.Key, Suffix: s.Suffix}}, 1000, 1000)
				}
				j.post(t, w, 10)
			}
			until(t, func() bool { return len(w.Apart()) == 0 })
			checkAll(t, pool, j)
			if err := w.Health(); err != nil {
				t.Errorf("after it was mended: %v", err)
			}
			j.add("parcel-k1", counted{N: 5, Items: []item{{"sku1", 1}}}, 1000, 1000)
			j.post(t, w, 10)
			checkAll(t, pool, j)
		})
	}
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// However many queries of one read model are held up, those of another are answered meanwhile.
func TestQueriesOfOneReadModelDoNotWaitForAnother(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(60, rand.New(rand.NewPCG(41, 42)).IntN)
	j.post(t, newWorker(t, pool, all...), 20)
	slow, other := viewOf(t, pool, items), viewOf(t, pool, parcels)
	within, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const asking = 40 // more than there are connections
	if most := pool.Config().MaxConns; asking <= most {
		t.Fatalf("%d queries cannot exhaust %d connections", asking, most)
	}
	var asked sync.WaitGroup
	var reading atomic.Int64
	release := make(chan struct{})
	for range asking {
		asked.Go(func() {
			if _, err := slow.Read(within, query.Ask{}, func(ctx context.Context, _ query.Snapshot) error {
				reading.Add(1)
				select {
				case <-release:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}); err != nil {
				t.Errorf("a query that was held up: %v", err)
			}
		})
	}
	until(t, func() bool { return reading.Load() >= int64(max(1, pool.Config().MaxConns/2)) }) // their share
	if _, _, err := query.All[detail](within, other, query.Ask{}, `select `+query.Columns[detail]()+` from {parcels}`); err != nil {
		t.Errorf("a query of another read model: %v", err)
	}
	close(release)
	asked.Wait()
}

// A query of a locked table ends with ErrBusy, and one of another table is answered.
func TestALockedReadModelIsBusy(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(60, rand.New(rand.NewPCG(41, 42)).IntN)
	j.post(t, newWorker(t, pool, all...), 20)
	locked, other := viewOf(t, pool, items), viewOf(t, pool, parcels)
	defer lock(t, pool, schemaOf(t, pool, "items", 1)+".items")()
	for range 2 { // the second knows what the first has met
		if _, _, err := query.All[perItem](t.Context(), locked, query.Ask{}, `select n from {items}`); !errors.Is(err, query.ErrBusy) {
			t.Errorf("a query of the locked table: %v", err)
		}
	}
	if _, _, err := query.All[detail](t.Context(), other, query.Ask{}, `select `+query.Columns[detail]()+` from {parcels}`); err != nil {
		t.Error(err)
	}
	asking, stop := context.WithCancel(t.Context())
	var asked sync.WaitGroup
	var reading, most atomic.Int64
	for range 5 { // from now on one at a time finds out whether the lock is gone
		asked.Go(func() {
			_, _ = locked.Read(asking, query.Ask{}, func(ctx context.Context, _ query.Snapshot) error {
				most.Store(max(most.Load(), reading.Add(1)))
				<-ctx.Done()
				return ctx.Err()
			})
		})
	}
	until(t, func() bool { return reading.Load() > 0 })
	if _, _, err := query.All[detail](t.Context(), other, query.Ask{}, `select `+query.Columns[detail]()+` from {parcels}`); err != nil {
		t.Error(err)
	}
	stop()
	asked.Wait()
	if n := most.Load(); n != 1 {
		t.Errorf("%d queries of the locked read model at once", n)
	}
}

// The checkpoint that all have in common is no build's fault: a batch that waits for it leaves no build behind.
func TestWaitingForTheGroupIsNoBuildsFault(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(60, rand.New(rand.NewPCG(32, 33)).IntN)
	w := newWorkerOn(t, j, pool, all...)
	j.head(10).post(t, w, 10)
	free := lock(t, pool, "daybook.projection_group")
	waiting, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	for p := range partitions {
		if err := w.Apply(waiting, p, j.head(10).last(p), unread(j.parts[p], j.head(10).last(p))); err == nil {
			t.Errorf("partition %d was written past a locked checkpoint", p)
		}
	}
	free()
	j.post(t, w, 10)
	if n := w.Apart(); len(n) != 0 {
		t.Errorf("by themselves go %v", n)
	}
	checkAll(t, pool, j)
}

// Builds are locked, slowed and made to fail at random while workers that each believe to have every partition feed them, come and
// go, and are cut off. In the end every row is the fold of the log, and no build goes by itself.
func TestBuildsInTroubleUnderChaos(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(2500, rand.New(rand.NewPCG(34, 35)).IntN)
	harming, calm := context.WithCancel(t.Context())
	first := newWorkerOn(t, j, pool, all...)
	tables := []string{schemaOf(t, pool, "items", 1) + ".items", schemaOf(t, pool, "parcels", 1) + ".parcels_history", schemaOf(t, pool, "totals", 1) + ".totals"}
	first.Close()
	execute(t, pool, `create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(0.5); return new; end $$`)
	execute(t, pool, `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused by the test'; end $$`)
	var (
		running      sync.WaitGroup
		harms, cut   atomic.Int64
		left, fenced atomic.Int64
	)
	running.Go(func() { // trouble
		rng := rand.New(rand.NewPCG(36, 37))
		for harming.Err() == nil {
			tx, err := pool.Begin(harming)
			if err != nil {
				continue
			}
			table := tables[rng.IntN(len(tables))]
			switch rng.IntN(4) {
			case 0, 1:
				_, err = tx.Exec(harming, "lock table "+table)
				wait(harming, time.Duration(100+rng.IntN(700))*time.Millisecond)
				err = errors.Join(err, tx.Rollback(context.WithoutCancel(harming)))
			default:
				function := []string{"dawdle", "refuse"}[rng.IntN(2)]
				trigger := fmt.Sprintf("create trigger harm before insert or update on %s for each statement execute function %s()", table, function)
				if _, err = tx.Exec(harming, trigger); err == nil {
					err = tx.Commit(harming)
				}
				wait(harming, time.Duration(100+rng.IntN(500))*time.Millisecond)
				_ = tx.Rollback(context.WithoutCancel(harming))
				if _, e := pool.Exec(context.WithoutCancel(harming), "drop trigger if exists harm on "+table); e != nil {
					t.Error(e)
				}
			}
			if err == nil {
				harms.Add(1)
			}
		}
	})
	running.Go(func() { // connections are cut
		for harming.Err() == nil {
			var n int64
			if pool.QueryRow(harming, `select count(*) from pg_stat_activity a, lateral pg_terminate_backend(a.pid) where a.datname = current_database()
				and a.usename = current_user and a.pid <> pg_backend_pid() and state = 'active' and query like '%projection_group%'`).Scan(&n) == nil {
				cut.Add(n)
			}
			wait(harming, 150*time.Millisecond)
		}
	})
	var feeding sync.WaitGroup
	for i := range 2 {
		rng := rand.New(rand.NewPCG(uint64(i), 38))
		feeding.Go(func() {
			for life := 0; ; life++ {
				done, err := live(t, pool, j, rng, &left, &fenced)
				if err != nil {
					t.Error(err)
					return
				}
				if done {
					return
				}
			}
		})
	}
	feeding.Wait()
	until(t, func() bool { return harms.Load() > 0 }) // one may have been under way
	calm()
	running.Wait()
	t.Logf("%d harms, %d connections cut, %d batches fenced, %d times builds went by themselves", harms.Load(), cut.Load(), fenced.Load(), left.Load())
	if harms.Load() == 0 || left.Load() == 0 || fenced.Load() == 0 {
		t.Error("the test proves nothing")
	}
	last := newWorkerOn(t, j, pool, all...)
	j.post(t, last, 100)
	for p := range partitions {
		owned(t, last, pool, p, all...)
	}
	checkAll(t, pool, j)
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// live is a worker that feeds every partition for a while. It is done when nothing is left to feed.
func live(t *testing.T, pool *pgxpool.Pool, j *journal, rng *rand.Rand, left, fenced *atomic.Int64) (done bool, err error) {
	t.Helper()
	cfg := config(t, pool, all...)
	cfg.Log = j
	w, err := worker.New(t.Context(), cfg)
	if err != nil { // its connection was cut
		return false, nil //nolint:nilerr // the next one has another
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for p := range partitions {
		running.Go(func() { w.Own(ctx, p) })
	}
	for range 60 {
		done = true
		for p := range partitions {
			at, err := w.Checkpoints(ctx, []int{p})
			if err != nil {
				done = false
				continue
			}
			rest := unread(j.parts[p], at[p])
			if len(rest) == 0 {
				continue
			}
			done = false
			batch := rest[:1+rng.IntN(min(len(rest), 12))]
			if err := w.Apply(ctx, p, at[p], batch); errors.Is(err, feed.ErrFenced) {
				fenced.Add(1)
			}
			left.Add(int64(len(w.Apart())))
		}
		if done {
			return true, nil
		}
	}
	return false, nil
}

// An event costs one update of a checkpoint, however many read models there are.
func TestOneCheckpointForAllReadModels(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(200, rand.New(rand.NewPCG(39, 40)).IntN)
	w := newWorkerOn(t, j, pool, all...)
	j.post(t, w, 1)
	w.Close() // connections report their figures at their end, at the latest
	updates := func(table string) (n int64) {
		if err := pool.QueryRow(t.Context(), `select n_tup_upd from pg_stat_user_tables where schemaname = 'daybook' and relname = $1`, table).Scan(&n); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
		return n
	}
	events := int64(len(j.records))
	until(t, func() bool { return updates("projection_group") >= events })
	if n := updates("projection_group") + updates("projection_checkpoint"); n > events+2*partitions*int64(len(all)) {
		t.Errorf("%d updates of checkpoints for %d events", n, events)
	}
}
