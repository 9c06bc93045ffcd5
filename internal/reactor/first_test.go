package reactor

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/reactor"
)

// owned runs a partition, and returns when first tries are made in it.
func owned(t *testing.T, e *Engine) {
	t.Helper()
	own(t, e)
	eventually(t, "the partition has an owner", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.owners[partition] != nil
	})
}

// refuse has each write of a table fail until mended.
func refuse(t *testing.T, pool *pgxpool.Pool, what string) (mended func()) {
	t.Helper()
	exec := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`create or replace function daybook.refuse() returns trigger language plpgsql as 'begin raise exception ''refused''; end'`)
	exec("create trigger refuse before " + what + " for each row execute function daybook.refuse()")
	return func() { t.Helper(); exec("drop function daybook.refuse cascade") }
}

func waitsFor(d time.Duration) func(*Config) { return func(c *Config) { c.patience = d } }

// An intent whose outcome is recorded at once needs no row, and an event that wakes none changes no rows.
func TestAnIntentThatIsSettledAtOnceNeedsNoRow(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	e := engine(t, pool, waitsFor(time.Minute), asking(func(context.Context, reactor.Task) (reactor.Next, error) { return reactor.Done(), nil }))
	at := checkpointOf(t, e)
	owned(t, e)
	if !e.Concerns(partition, event(12, "thing.answered", "a")) {
		t.Error("what is open is not known yet, and an event that may wake it is said to change nothing")
	}
	refuse(t, pool, "insert or update or delete on daybook.reactor_waiting")
	if err := e.Apply(t.Context(), partition, at, []es.Record{event(11, "thing.asked", "a"), event(12, "thing.answered", "a")}); err != nil {
		t.Fatal(err)
	}
	if got := checkpointOf(t, e); got != 12 {
		t.Errorf("checkpoint %d, want 12", got)
	}
	if e.Concerns(partition, event(13, "thing.answered", "a")) {
		t.Error("nothing is open, and an event that would wake it is said to change something")
	}
}

// A batch does not wait for a slow answer: the intent gets its row meanwhile.
func TestAnIntentThatTakesLongerGetsItsRow(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	written := make(chan struct{})
	var calls atomic.Int32
	e := engine(t, pool, waitsFor(time.Millisecond), asking(func(context.Context, reactor.Task) (reactor.Next, error) {
		calls.Add(1)
		<-written
		return reactor.Done(), nil
	}))
	at := checkpointOf(t, e)
	owned(t, e)
	if err := e.Apply(t.Context(), partition, at, []es.Record{event(11, "thing.asked", "a")}); err != nil {
		t.Fatal(err)
	}
	if got := waiting(t, pool); got != 1 {
		t.Fatalf("%d rows, want 1", got)
	}
	close(written)
	eventually(t, "the row is gone", func() bool { return waiting(t, pool) == 0 })
	if got := calls.Load(); got != 1 {
		t.Errorf("called %d times, want once", got)
	}
}

// What a first try leaves open is kept with its row, and the events of its stream wake it.
func TestAFirstTryThatLeavesAnIntentOpenCounts(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	e := engine(t, pool, waitsFor(time.Minute), asking(func(_ context.Context, task reactor.Task) (reactor.Next, error) {
		var left string
		if err := task.Memo(&left); err != nil || task.Tries == 1 && left != "kept" {
			t.Errorf("try %d has memo %q: %v", task.Tries, left, err)
		}
		if task.Tries == 1 {
			return reactor.Done(), nil
		}
		return reactor.AgainAfter(time.Hour, "kept"), nil
	}))
	at := checkpointOf(t, e)
	owned(t, e)
	// The second event has what is open read, so that it is known from then on.
	if err := e.Apply(t.Context(), partition, at, []es.Record{event(11, "thing.asked", "a"), event(12, "thing.answered", "other")}); err != nil {
		t.Fatal(err)
	}
	var tries int
	if err := pool.QueryRow(t.Context(), "select tries from daybook.reactor_waiting where due_at > now() + interval '1 minute'").Scan(&tries); err != nil || tries != 1 {
		t.Errorf("%d tries are kept: %v", tries, err)
	}
	if e.Concerns(partition, event(13, "thing.answered", "other")) || !e.Concerns(partition, event(13, "thing.answered", "a")) {
		t.Error("an event concerns the streams with open intents, and no others")
	}
	if err := e.Apply(t.Context(), partition, 12, []es.Record{event(13, "thing.answered", "a")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it was woken", func() bool { return waiting(t, pool) == 0 })
}

// An intent comes again until the checkpoint has passed it, although it is settled.
func TestAnIntentComesAgainUntilTheCheckpointHasPassedIt(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	var calls atomic.Int32
	e := engine(t, pool, waitsFor(time.Minute), asking(func(context.Context, reactor.Task) (reactor.Next, error) {
		calls.Add(1)
		return reactor.Done(), nil
	}))
	at := checkpointOf(t, e)
	owned(t, e)
	mended := refuse(t, pool, "update on daybook.reactor_checkpoint")
	batch := []es.Record{event(11, "thing.asked", "a")}
	if err := e.Apply(t.Context(), partition, at, batch); err == nil {
		t.Error("the checkpoint was not moved, and all is well")
	}
	mended()
	if err := e.Apply(t.Context(), partition, at, batch); err != nil {
		t.Error(err)
	}
	if got := calls.Load(); got != 2 || checkpointOf(t, e) != 11 {
		t.Errorf("called %d times, want twice; checkpoint %d", got, checkpointOf(t, e))
	}
}
