package reactor

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/reactor"
)

const otherPartition = partition + 1

// lockRows locks rows of open intents in a session of its own until release.
func lockRows(t *testing.T, address, where string, args ...any) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tag, err := tx.Exec(t.Context(), "select 1 from daybook.reactor_waiting where "+where+" for update", args...)
	if err != nil || tag.RowsAffected() == 0 {
		t.Fatalf("%d rows are held: %v", tag.RowsAffected(), err)
	}
	return func() {
		if err := tx.Rollback(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

// Rows of open intents that another session holds hold nothing else: neither intents of the same partition, nor events that wake the held
// ones, nor another partition, however many they are. When they are free again they are settled.
func TestHeldRowsHoldNoOtherIntent(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	var free atomic.Bool
	e := engine(t, pool, func(c *Config) { c.Concurrency = 8 }, asking(func(_ context.Context, _ reactor.Task) (reactor.Next, error) {
		if free.Load() {
			return reactor.Done(), nil
		}
		return reactor.AgainAfter(time.Hour, nil), nil
	}))
	at, err := e.Checkpoints(t.Context(), []int{partition, otherPartition})
	if err != nil {
		t.Fatal(err)
	}
	apply := func(p int, batch ...es.Record) {
		t.Helper()
		if err := e.Apply(t.Context(), p, at[p], batch); err != nil {
			t.Fatal(err)
		}
		at[p] = batch[len(batch)-1].Position
	}
	const many = roundMost + 20 // more than are read at once, and than there are connections or slots
	var asked []es.Record
	for i := range many {
		asked = append(asked, event(uint64(11+i), "thing.asked", "held-"+strconv.Itoa(i)))
	}
	apply(partition, asked...)
	release := lockRows(t, pool.Config().ConnString(), "partition = $1", partition)
	free.Store(true)
	own(t, e)
	ownOf(t, e, otherPartition)
	apply(partition, event(1000, "thing.answered", "held-0"), event(1001, "thing.asked", "beside"))
	apply(otherPartition, event(1002, "thing.asked", "elsewhere"))
	open := func(stream string) (n int) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), "select count(*) from daybook.reactor_waiting where stream = $1", stream).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, "the others are settled", func() bool { return open("thing-beside")+open("thing-elsewhere") == 0 })
	if n := waiting(t, pool); n != many {
		t.Fatalf("%d intents are open, %d are held: the test proves nothing", n, many)
	}
	release()
	eventually(t, "those that were held are settled", func() bool { return waiting(t, pool) == 0 })
}

// An event for an intent whose row is held just then wakes it once the row is free.
func TestAWakeOfAHeldRowIsNotLost(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	var calls atomic.Int32
	e := engine(t, pool, nil, asking(func(context.Context, reactor.Task) (reactor.Next, error) {
		if calls.Add(1) == 1 {
			return reactor.AgainAfter(time.Hour, nil), nil
		}
		return reactor.Done(), nil
	}))
	at := checkpointOf(t, e)
	own(t, e)
	if err := e.Apply(t.Context(), partition, at, []es.Record{event(11, "thing.asked", "a")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it waits for an hour", func() (is bool) {
		if err := pool.QueryRow(t.Context(), "select due_at > now() + interval '1 minute' from daybook.reactor_waiting").Scan(&is); err != nil {
			t.Fatal(err)
		}
		return is
	})
	release := lockRows(t, pool.Config().ConnString(), "true")
	if err := e.Apply(t.Context(), partition, 11, []es.Record{event(12, "thing.answered", "a")}); err != nil {
		t.Fatal(err)
	}
	release()
	eventually(t, "it was woken", func() bool { return waiting(t, pool) == 0 })
}

// A partition all of whose calls hang leaves the others' alone.
func TestAPartitionThatHangsHoldsNoOther(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	var hanging atomic.Int32
	e := engine(t, pool, func(c *Config) { c.Concurrency = 4 }, asking(func(ctx context.Context, task reactor.Task) (reactor.Next, error) {
		if task.Stream.Key == "elsewhere" {
			return reactor.Done(), nil
		}
		hanging.Add(1)
		<-ctx.Done()
		return reactor.Next{}, ctx.Err()
	}))
	at, err := e.Checkpoints(t.Context(), []int{partition, otherPartition})
	if err != nil {
		t.Fatal(err)
	}
	own(t, e)
	ownOf(t, e, otherPartition)
	var asked []es.Record
	for i := range 600 {
		asked = append(asked, event(uint64(11+i), "thing.asked", strconv.Itoa(i)))
	}
	if err := e.Apply(t.Context(), partition, at[partition], asked); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all calls of a partition hang", func() bool { return hanging.Load() == 4 })
	if err := e.Apply(t.Context(), otherPartition, at[otherPartition], []es.Record{event(700, "thing.asked", "elsewhere")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other partition's is settled", func() bool { return waiting(t, pool) == 600 })
}

// Intents that fail each time, more of them than there are slots, leave room for those that come after.
func TestFailingIntentsLeaveRoom(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	var hanging atomic.Int32
	e := engine(t, pool, func(c *Config) { c.Concurrency = 4 }, asking(func(ctx context.Context, task reactor.Task) (reactor.Next, error) {
		switch {
		case task.Stream.Key == "well":
			return reactor.Done(), nil
		case task.Tries == 0:
			return reactor.Next{}, context.DeadlineExceeded
		}
		hanging.Add(1)
		<-ctx.Done()
		return reactor.Next{}, ctx.Err()
	}))
	at := checkpointOf(t, e)
	own(t, e)
	var asked []es.Record
	for i := range 50 {
		asked = append(asked, event(uint64(11+i), "thing.asked", strconv.Itoa(i)))
	}
	if err := e.Apply(t.Context(), partition, at, asked); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second try hangs", func() bool { return hanging.Load() > 0 })
	if err := e.Apply(t.Context(), partition, 60, []es.Record{event(100, "thing.asked", "well")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the one that is well is settled", func() bool { return waiting(t, pool) == 50 })
}
