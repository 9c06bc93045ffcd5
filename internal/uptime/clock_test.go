package uptime_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/uptime"
)

// installation is a database in which relay, sagas and reactors have come as far as a test says.
type installation struct {
	t    *testing.T
	pool *pgxpool.Pool
}

const attending = 10 * time.Second

func newInstallation(t *testing.T) *installation {
	t.Helper()
	in := &installation{t, postgrestest.New(t)}
	in.exec(`insert into daybook.relay (position, last, partitions, incarnation, caught_up_at) values (10, '{8,10}', 2, 'm', now());
		insert into daybook.saga_checkpoint (name, partition, position, partitions, incarnation) values ('placement', 0, 10, 2, 'm'), ('placement', 1, 10, 2, 'm');
		insert into daybook.reactor_checkpoint (name, partition, partitions, incarnation, position) values ('payments', 0, 2, 'm', 10), ('payments', 1, 2, 'm', 10)`)
	return in
}

func (in *installation) exec(sql string) {
	in.t.Helper()
	if _, err := in.pool.Exec(in.t.Context(), sql); err != nil {
		in.t.Fatal(err)
	}
}

func (in *installation) clock() *uptime.Clock {
	return uptime.New(uptime.Config{Pool: in.pool, Partitions: 2, Sagas: []string{"placement"}, Reactors: []string{"payments"}, Attending: attending})
}

func (in *installation) sample(c *uptime.Clock) {
	in.t.Helper()
	if err := c.Sample(in.t.Context()); err != nil {
		in.t.Fatal(err)
	}
}

// ago lets time pass in which only the other partitions catch up.
func (in *installation) ago(d time.Duration, partitions string) {
	in.t.Helper()
	in.exec(fmt.Sprintf(`update daybook.uptime set since = since - interval '%[1]s', caught_up_at =
		(select array_agg(case when n - 1 = any(array[%[2]s]) then t - interval '%[1]s' else t end order by n) from unnest(caught_up_at) with ordinality as u(t, n))`, d, partitions))
}

func within(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want-5*time.Second || got > want+5*time.Second {
		t.Errorf("%s: down for %s, want about %s", what, got, want)
	}
}

// Whatever was away, the time does not count: it is found by the first process that samples afterwards.
func TestOutagesAreFoundAfterwards(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		away, back string
		other      bool // the other partition was away as well
	}{
		"everything": {``, `update daybook.relay set caught_up_at = now()`, true},
		"the relay":  {`update daybook.relay set caught_up_at = now() - interval '1 hour'`, `update daybook.relay set caught_up_at = now()`, true},
		"the sagas of a partition": {
			`update daybook.relay set caught_up_at = now(), position = 20, last = '{20,10}'`,
			`update daybook.saga_checkpoint set position = 20; update daybook.reactor_checkpoint set position = 20`, false,
		},
		"the reactors of a partition": {
			`update daybook.relay set caught_up_at = now(), position = 20, last = '{20,10}'; update daybook.saga_checkpoint set position = 20`,
			`update daybook.reactor_checkpoint set position = 20`, false,
		},
		"the reactors, while nothing is recorded": {
			`update daybook.relay set caught_up_at = now(); insert into daybook.reactor_waiting (reactor, intent, partition, stream, revision, recorded_at, opened_at, due_at)
				values ('payments', gen_random_uuid(), 0, 'payment-o1', 1, now() - interval '1 hour', now() - interval '1 hour', now() - interval '1 hour')`,
			`delete from daybook.reactor_waiting`, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newInstallation(t)
			first := in.clock()
			in.sample(first)
			if down, upTo := first.Down([]int{0, 1}, time.Now()); down != 0 || time.Since(upTo) > time.Minute {
				t.Fatalf("down for %s, caught up to %s", down, upTo)
			}
			began := time.Now().Add(-time.Hour)
			if c.other {
				in.ago(time.Hour, "0, 1")
			} else {
				in.ago(time.Hour, "0")
			}
			if c.away != "" {
				in.exec(c.away)
				during := in.clock()
				in.sample(during)
				in.sample(during)
				if _, upTo := during.Down([]int{0}, began); time.Since(upTo) < 50*time.Minute {
					t.Errorf("during the outage caught up to %s", upTo)
				}
			}
			in.exec(c.back)
			in.exec(`update daybook.relay set caught_up_at = now()`)
			second := in.clock()
			in.sample(second)
			in.sample(second)
			down, upTo := second.Down([]int{0}, began)
			within(t, "the partition", down, time.Hour)
			if time.Since(upTo) > time.Minute {
				t.Errorf("afterwards caught up to %s", upTo)
			}
			down, _ = second.Down([]int{1}, began)
			if c.other {
				within(t, "the other partition", down, time.Hour)
			} else {
				within(t, "the other partition", down, 0)
			}
			down, _ = second.Down([]int{0, 1}, began)
			within(t, "both together", down, time.Hour)
			down, _ = second.Down([]int{0, 1}, time.Now().Add(-20*time.Minute))
			within(t, "a wait that began in the outage", down, 20*time.Minute)
			down, _ = second.Down([]int{0, 1}, time.Now().Add(time.Second))
			within(t, "a wait that begins now", down, 0)
		})
	}
}

// Work that lags by less than a normal pause is no outage, however long it goes on.
func TestNormalLagIsNoOutage(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	c := in.clock()
	in.sample(c)
	began := time.Now()
	for n := range 20 { // the consumers are always behind the newest event, and have passed the one before
		in.exec(fmt.Sprintf(`update daybook.relay set caught_up_at = now(), position = %[1]d, last = '{%[1]d,%[1]d}';
			update daybook.saga_checkpoint set position = %[2]d; update daybook.reactor_checkpoint set position = %[2]d`, 20+n, 19+n))
		in.sample(c)
	}
	down, upTo := c.Down([]int{0, 1}, began)
	if down != 0 || upTo.Before(began) {
		t.Errorf("down for %s, caught up to %s since %s", down, upTo, began)
	}
}

// Before a relay has run for the first time there is nothing to sample, and nothing is kept.
func TestNothingIsKeptBeforeTheFirstRelay(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.exec(`delete from daybook.relay`)
	c := in.clock()
	in.sample(c)
	if _, upTo := c.Down([]int{0}, time.Now()); !upTo.IsZero() {
		t.Errorf("caught up to %s", upTo)
	}
	in.exec(`insert into daybook.relay (position, last, partitions, incarnation, caught_up_at) values (10, '{8,10}', 2, 'm', now())`)
	in.sample(c)
	if down, upTo := c.Down([]int{0, 1}, time.Now()); down != 0 || time.Since(upTo) > time.Minute {
		t.Errorf("then down for %s, caught up to %s", down, upTo)
	}
}

// Nothing is known of the time before Postgres was lost: it does not count.
func TestTimeBeforeTheRowDoesNotCount(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	c := in.clock()
	if _, upTo := c.Down([]int{0}, time.Now()); !upTo.IsZero() {
		t.Error("a clock that has not sampled knows something")
	}
	in.sample(c)
	down, _ := c.Down([]int{0}, time.Now().Add(-time.Hour))
	within(t, "before the row", down, time.Hour)
}

// An open intent that is being attended to is no outage of ours: the provider is slow.
func TestSlowProviderIsNoOutage(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	began := time.Now()
	in.exec(`insert into daybook.reactor_waiting (reactor, intent, partition, stream, revision, recorded_at, opened_at, due_at)
		values ('payments', gen_random_uuid(), 0, 'payment-o1', 1, now(), now(), now() - interval '5 seconds')`)
	c := in.clock()
	in.sample(c)
	in.exec(`update daybook.relay set caught_up_at = now()`)
	in.sample(c)
	if down, upTo := c.Down([]int{0}, time.Now()); down != 0 || upTo.Before(began.Add(-3*time.Second)) {
		t.Errorf("down for %s, caught up to %s", down, upTo)
	}
}
