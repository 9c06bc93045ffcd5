package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
)

func TestListenerWakesThoseWhoWait(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	l := listen(t, pool)
	first, cancelFirst := l.Subscribe("daybook_test")
	second, cancelSecond := l.Subscribe("daybook_test")
	defer cancelSecond()
	odd, cancelOdd := l.Subscribe(`odd "name"; drop`)
	defer cancelOdd()
	woken(t, first)
	woken(t, second) // all are woken when it has begun
	woken(t, odd)
	drained(second)

	notify(t, pool, "daybook_test")
	woken(t, first)
	woken(t, second)
	notify(t, pool, `odd "name"; drop`)
	woken(t, odd)

	cancelFirst()
	cancelFirst()
	notify(t, pool, "daybook_test")
	woken(t, second)
	select {
	case <-first:
		t.Error("woken after cancel")
	default:
	}
}

func TestListenerWakesWhomItConcerns(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	l := listen(t, pool)
	all, cancelAll := l.Subscribe("daybook_test")
	defer cancelAll()
	woken(t, all) // it has begun: who comes later is woken once and not again by that
	mine, cancelMine := l.SubscribeTo("daybook_test", func(payload string) bool { return payload == "mine" })
	defer cancelMine()
	woken(t, mine)
	say := func(payload string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), "select pg_notify('daybook_test', $1)", payload); err != nil {
			t.Fatal(err)
		}
		woken(t, all)
	}
	say("theirs")
	say("theirs") // when all were woken by this one, all were by the first
	select {
	case <-mine:
		t.Error("woken by what was said to others")
	default:
	}
	say("mine")
	woken(t, mine)
	cut(t, pool)
	woken(t, mine) // whatever was said meanwhile
}

func TestListenerHearsWhatIsSubscribedLater(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	l := listen(t, pool)
	early, cancel := l.Subscribe("early")
	defer cancel()
	woken(t, early) // it now waits in the connection
	before := backend(t, pool)
	late, cancel := l.Subscribe("late")
	defer cancel()
	woken(t, late)
	notify(t, pool, "late")
	woken(t, late)
	if after := backend(t, pool); after != before {
		t.Error("it was cut off by the new subscription")
	}
}

func TestListenerComesBackAndWakesAll(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	l := listen(t, pool)
	wake, cancel := l.Subscribe("daybook_test")
	defer cancel()
	woken(t, wake)
	drained(wake)
	for range 3 {
		cut(t, pool)
		woken(t, wake) // for what may have been missed
		notify(t, pool, "daybook_test")
		woken(t, wake)
		drained(wake)
	}
}

func TestListenerEndsWithItsContext(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	l := postgres.Listen(ctx, pool.Config().ConnString(), nil)
	wake, done := l.Subscribe("daybook_test")
	defer done()
	woken(t, wake)
	cancel()
	select {
	case <-l.Done():
	case <-time.After(time.Minute):
		t.Fatal("still there")
	}
}

func listen(t *testing.T, pool *pgxpool.Pool) *postgres.Listener {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := postgres.Listen(ctx, pool.Config().ConnString(), nil)
	t.Cleanup(func() { cancel(); <-l.Done() })
	return l
}

func woken(t *testing.T, wake <-chan struct{}) {
	t.Helper()
	select {
	case <-wake:
	case <-time.After(time.Minute):
		t.Fatal("not woken")
	}
}

func drained(wake <-chan struct{}) {
	select {
	case <-wake:
	default:
	}
}

func notify(t *testing.T, pool *pgxpool.Pool, channel string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), "select pg_notify($1, 'x')", channel); err != nil {
		t.Fatal(err)
	}
}

func backend(t *testing.T, pool *pgxpool.Pool) (pid int) {
	t.Helper()
	err := pool.QueryRow(t.Context(), `select pid from pg_stat_activity
		where datname = current_database() and application_name = 'daybook listener'`).Scan(&pid)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// cut ends the listener's connection as a restart of Postgres does.
func cut(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var n int
	err := pool.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from pg_stat_activity
		where datname = current_database() and application_name = 'daybook listener'`).Scan(&n)
	if err != nil || n != 1 {
		t.Fatalf("cut %d connections: %v", n, err)
	}
}
