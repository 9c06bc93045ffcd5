package reactor

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/reactor"
)

// scripted is a reactor that does what the test says.
type scripted struct {
	name    string
	intents []string
	wakes   []string
	attend  func(context.Context, reactor.Task) (reactor.Next, error)
}

func (s scripted) Name() string      { return s.name }
func (s scripted) Intents() []string { return s.intents }
func (s scripted) Wakes() []string   { return s.wakes }
func (s scripted) Attend(ctx context.Context, t reactor.Task) (reactor.Next, error) {
	return s.attend(ctx, t)
}

func asking(attend func(context.Context, reactor.Task) (reactor.Next, error)) scripted {
	return scripted{"asker", []string{"thing.asked"}, []string{"thing.answered"}, attend}
}

const partition = 3

func engine(t *testing.T, pool *pgxpool.Pool, change func(*Config), reactors ...reactor.Reactor) *Engine {
	t.Helper()
	cfg := Config{
		Pool: pool, Reactors: reactors, Partitions: 12, Incarnation: "one",
		Begin:      func(context.Context, string) (uint64, error) { return 10, nil },
		BackoffMin: 5 * time.Millisecond, BackoffMost: 40 * time.Millisecond, Poll: 50 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

// checkpointOf asks as the feed does.
func checkpointOf(t *testing.T, e *Engine) uint64 {
	t.Helper()
	at, err := e.Checkpoints(t.Context(), []int{partition})
	if err != nil {
		t.Fatal(err)
	}
	return at[partition]
}

// own runs a partition until stop is called, which waits.
func own(t *testing.T, e *Engine) (stop func()) {
	t.Helper()
	return ownOf(t, e, partition)
}

func ownOf(t *testing.T, e *Engine, partition int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); e.Own(ctx, partition) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func event(position uint64, typ, key string) es.Record {
	return es.Record{
		ID: es.DerivedID(es.UUID{}, position), Stream: es.StreamID{Category: "thing", Key: key}, Revision: position,
		Position: position, Created: time.Now(), Type: typ,
	}
}

func waiting(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "select count(*) from daybook.reactor_waiting").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(3 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

func never(context.Context, reactor.Task) (reactor.Next, error) { return reactor.Again(nil), nil }

func TestCheckpointsBeginAtTheDeploymentAndAreOfOneHistory(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	e := engine(t, pool, nil, asking(never))
	if got := checkpointOf(t, e); got != 10 {
		t.Errorf("begins after %d, want 10", got)
	}
	if err := e.Apply(t.Context(), partition, 10, []es.Record{event(11, "thing.else", "a")}); err != nil {
		t.Fatal(err)
	}
	again := engine(t, pool, func(c *Config) { c.Begin = func(context.Context, string) (uint64, error) { return 99, nil } }, asking(never))
	if got := checkpointOf(t, again); got != 11 {
		t.Errorf("a second start begins after %d, want 11", got)
	}
	refused := func(says string, change func(*Config)) {
		t.Helper()
		cfg := again.cfg
		change(&cfg)
		other, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, read := other.Checkpoints(t.Context(), []int{partition})
		for doing, err := range map[string]error{"start": other.Prepare(t.Context()), "read": read} {
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "daybook recover") {
				t.Errorf("%s: %v, want %q", doing, err, says)
			}
		}
	}
	refused("is of incarnation one of the event store, this is incarnation two", func(c *Config) { c.Incarnation = "two" })
	refused("counts 12 partitions, this installation 6", func(c *Config) { c.Partitions = 6 })
	if _, err := pool.Exec(t.Context(), "update daybook.reactor_checkpoint set filter = filter + 1"); err != nil {
		t.Fatal(err)
	}
	refused("under filter 2 of what is relayed, this program has filter 1", func(*Config) {})
}

func TestARowAndItsCheckpointComeTogetherAndOnce(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	e, zombie := engine(t, pool, nil, asking(never)), engine(t, pool, nil, asking(never))
	checkpointOf(t, e)
	checkpointOf(t, zombie)
	batch := []es.Record{event(11, "thing.asked", "a"), event(12, "thing.else", "a"), event(13, "thing.asked", "b")}
	if err := e.Apply(t.Context(), partition, 10, batch); err != nil {
		t.Fatal(err)
	}
	if got := waiting(t, pool); got != 2 {
		t.Fatalf("%d rows, want 2", got)
	}
	if err := zombie.Apply(t.Context(), partition, 10, append(batch, event(14, "thing.asked", "c"))); !errors.Is(err, feed.ErrFenced) {
		t.Errorf("a zombie's batch: %v, want ErrFenced", err)
	}
	if got := waiting(t, pool); got != 2 {
		t.Errorf("the zombie left %d rows", got)
	}
	if got := checkpointOf(t, zombie); got != 13 {
		t.Errorf("checkpoint %d, want 13", got)
	}
	// What was applied may come again before something new.
	if err := zombie.Apply(t.Context(), partition, 10, append(batch, event(14, "thing.asked", "c"))); err != nil {
		t.Errorf("applying on from there: %v", err)
	}
	if got := waiting(t, pool); got != 3 {
		t.Errorf("%d rows, want 3", got)
	}
	if err := zombie.Apply(t.Context(), partition, 20, []es.Record{event(21, "thing.asked", "d")}); !errors.Is(err, feed.ErrFenced) {
		t.Errorf("a hole before the batch: %v", err)
	}
}

func TestAReactorAddedLaterHasItsOwnCheckpoint(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	e := engine(t, pool, nil, asking(never))
	checkpointOf(t, e)
	if err := e.Apply(t.Context(), partition, 10, []es.Record{event(15, "thing.asked", "a")}); err != nil {
		t.Fatal(err)
	}
	late := scripted{"late", []string{"thing.asked"}, nil, never}
	both := engine(t, pool, func(c *Config) { c.Begin = func(context.Context, string) (uint64, error) { return 12, nil } }, asking(never), late)
	if got := checkpointOf(t, both); got != 12 {
		t.Fatalf("lowest is %d, want 12", got)
	}
	if err := both.Apply(t.Context(), partition, 12, []es.Record{event(14, "thing.asked", "x"), event(15, "thing.asked", "a"), event(16, "thing.asked", "b")}); err != nil {
		t.Fatal(err)
	}
	var asker, lates int
	err := pool.QueryRow(t.Context(), "select count(*) filter (where reactor = 'asker'), count(*) filter (where reactor = 'late') from daybook.reactor_waiting").Scan(&asker, &lates)
	if err != nil || asker != 2 || lates != 3 {
		t.Errorf("rows: asker %d, want 2; late %d, want 3; %v", asker, lates, err)
	}
}

func TestAttendingUntilDone(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	type note struct{ Steps int }
	var mu sync.Mutex
	seen := map[string][]reactor.Task{}
	e := engine(t, pool, nil, asking(func(_ context.Context, task reactor.Task) (reactor.Next, error) {
		mu.Lock()
		defer mu.Unlock()
		seen[task.Stream.Key] = append(seen[task.Stream.Key], task)
		var n note
		if err := task.Memo(&n); err != nil {
			return reactor.Next{}, err
		}
		switch len(seen[task.Stream.Key]) {
		case 1:
			return reactor.Again(note{n.Steps + 1}), nil
		case 2:
			return reactor.Next{}, errors.New("the outside world is on fire")
		case 3:
			panic("so is the inside")
		case 4:
			return reactor.AgainAfter(0, note{n.Steps + 1}), nil
		}
		if n.Steps != 2 {
			t.Errorf("memo %+v, want 2 steps", n)
		}
		return reactor.Done(), nil
	}))
	checkpointOf(t, e)
	stop := own(t, e)
	var batch []es.Record
	for i := range 30 {
		batch = append(batch, event(uint64(11+i), "thing.asked", strconv.Itoa(i)))
	}
	if err := e.Apply(t.Context(), partition, 10, batch); err != nil {
		t.Fatal(err)
	}
	eventually(t, "every row is gone", func() bool { return waiting(t, pool) == 0 })
	stop()
	for i := range 30 {
		tries := seen[strconv.Itoa(i)]
		if len(tries) != 5 {
			t.Errorf("%d was attended %d times, want 5", i, len(tries))
		}
		for n, task := range tries {
			if task.Tries != n || task.ID != batch[i].ID || task.Revision != batch[i].Revision || task.Stream != batch[i].Stream {
				t.Errorf("try %d of %d: %+v", n, i, task)
			}
			if got := task.Recorded.Sub(batch[i].Created).Abs(); got > time.Microsecond {
				t.Errorf("recorded time is off by %s", got)
			}
		}
	}
}

// TestWhatIsCutOffComesAgain: the owner goes in the middle of a call, as in a crash or a rebalance.
func TestWhatIsCutOffComesAgain(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	calls := make(chan int, 10)
	r := asking(func(ctx context.Context, task reactor.Task) (reactor.Next, error) {
		calls <- task.Tries
		<-ctx.Done()
		return reactor.Done(), nil // too late: it is another owner's
	})
	e := engine(t, pool, nil, r)
	checkpointOf(t, e)
	if err := e.Apply(t.Context(), partition, 10, []es.Record{event(11, "thing.asked", "a")}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		stop := own(t, e)
		if got := <-calls; got != 0 {
			t.Errorf("try %d, want 0", got)
		}
		stop()
		if got := waiting(t, pool); got != 1 {
			t.Fatalf("%d rows after the owner went, want 1", got)
		}
	}
}

// TestAWakeIsNotLost: the event that a row waits for comes while the row is attended to.
func TestAWakeIsNotLost(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	begun, goOn := make(chan struct{}, 10), make(chan struct{})
	e := engine(t, pool, nil, asking(func(_ context.Context, task reactor.Task) (reactor.Next, error) {
		if task.Tries == 0 {
			begun <- struct{}{}
			<-goOn
			return reactor.AgainAfter(time.Hour, nil), nil
		}
		return reactor.Done(), nil
	}))
	checkpointOf(t, e)
	own(t, e)
	if err := e.Apply(t.Context(), partition, 10, []es.Record{event(11, "thing.asked", "a"), event(12, "thing.asked", "b")}); err != nil {
		t.Fatal(err)
	}
	<-begun
	<-begun
	if err := e.Apply(t.Context(), partition, 12, []es.Record{event(13, "thing.answered", "a")}); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	eventually(t, "only b waits its hour", func() bool { return waiting(t, pool) == 1 })
	if err := e.Apply(t.Context(), partition, 13, []es.Record{event(14, "thing.answered", "b")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b was woken", func() bool { return waiting(t, pool) == 0 })
}

func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	var mu sync.Mutex
	at, most := 0, 0
	together := make(chan struct{})
	e := engine(t, pool, func(c *Config) { c.Concurrency = 4 }, asking(func(context.Context, reactor.Task) (reactor.Next, error) {
		mu.Lock()
		at++
		most = max(most, at)
		if at == 4 && most == 4 {
			select {
			case <-together:
			default:
				close(together)
			}
		}
		mu.Unlock()
		<-together
		mu.Lock()
		at--
		mu.Unlock()
		return reactor.Done(), nil
	}))
	checkpointOf(t, e)
	own(t, e)
	var batch []es.Record
	for i := range 600 { // more than a round reads
		batch = append(batch, event(uint64(11+i), "thing.asked", strconv.Itoa(i)))
	}
	if err := e.Apply(t.Context(), partition, 10, batch); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are done", func() bool { return waiting(t, pool) == 0 })
	if most != 4 {
		t.Errorf("%d calls at a time, want 4", most)
	}
}

func TestRowsOfAReactorThatIsNotHereStay(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	other := scripted{"other", []string{"thing.asked"}, nil, never}
	e := engine(t, pool, nil, other)
	checkpointOf(t, e)
	if err := e.Apply(t.Context(), partition, 10, []es.Record{event(11, "thing.asked", "a")}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 1)
	e = engine(t, pool, nil, asking(func(context.Context, reactor.Task) (reactor.Next, error) {
		done <- struct{}{}
		return reactor.Done(), nil
	}))
	checkpointOf(t, e)
	own(t, e)
	if err := e.Apply(t.Context(), partition, 10, []es.Record{event(11, "thing.asked", "a")}); err != nil {
		t.Fatal(err)
	}
	<-done
	eventually(t, "the own row is gone", func() bool { return waiting(t, pool) == 1 })
}

func TestRowsChangedByHandAreFoundByNotify(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	woken := make(chan struct{})
	tries := make(chan int, 10)
	e := engine(t, pool, func(c *Config) {
		c.Poll = time.Hour
		c.Listen = func(channel string) (<-chan struct{}, func()) {
			if channel != Channel {
				t.Errorf("listens on %q", channel)
			}
			return woken, func() {}
		}
	}, asking(func(_ context.Context, task reactor.Task) (reactor.Next, error) {
		tries <- task.Tries
		return reactor.AgainAfter(24*time.Hour, nil), nil
	}))
	checkpointOf(t, e)
	own(t, e)
	if err := e.Apply(t.Context(), partition, 10, []es.Record{event(11, "thing.asked", "a")}); err != nil {
		t.Fatal(err)
	}
	<-tries
	eventually(t, "put off", func() bool {
		tag, err := pool.Exec(t.Context(), "update daybook.reactor_waiting set due_at = now() where tries = 1")
		return err == nil && tag.RowsAffected() == 1
	})
	woken <- struct{}{}
	if got := <-tries; got != 1 {
		t.Errorf("try %d, want 1", got)
	}
}

func TestHealthSaysWhatCannotBeAttendedTo(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	var mended sync.Map
	e := engine(t, pool, nil, asking(func(_ context.Context, task reactor.Task) (reactor.Next, error) {
		if _, ok := mended.Load(task.Stream.Key); ok {
			return reactor.Done(), nil
		}
		return reactor.Next{}, errors.New("unreadable")
	}))
	checkpointOf(t, e)
	stop := own(t, e)
	if err := e.Apply(t.Context(), partition, 10, []es.Record{event(11, "thing.asked", "a"), event(12, "thing.asked", "b")}); err != nil {
		t.Fatal(err)
	}
	unhealthy := func() bool { return e.Health() != nil }
	eventually(t, "it says so of both", func() bool { return unhealthy() && strings.Contains(e.Health().Error(), "2 intents") })
	mended.Store("a", true)
	eventually(t, "one is left", func() bool { return waiting(t, pool) == 1 })
	if !unhealthy() {
		t.Error("one of two was mended, and all is well")
	}
	mended.Store("b", true)
	eventually(t, "all is well", func() bool { return !unhealthy() })
	mended.Clear()
	if err := e.Apply(t.Context(), partition, 12, []es.Record{event(13, "thing.asked", "c")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it says so again", unhealthy)
	stop()
	if unhealthy() {
		t.Error("what another process owns now is its to say")
	}
}
