package uptime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/beat"
)

const (
	defaultPeriod = time.Second
	// pauses is how many periods the caught-up time may stand still in normal work: an idle relay notes every two seconds that it
	// has caught up.
	pauses = 5
	// behind is how many periods the row may be behind what the clock knows: an idle installation writes it less often than it looks.
	behind = 4
	// kept is how long outages are kept: longer than any deadline.
	kept = "90 days"
)

// Config of a Clock.
type Config struct {
	Pool *pgxpool.Pool
	// Partitions of the topic.
	Partitions int
	// Sagas and Reactors are the names whose checkpoints count.
	Sagas, Reactors []string
	// Attending bounds one try at an open intent. One that has been due for longer is not being attended to.
	Attending time.Duration
	// Period is the time between two samples; 0: 1 s.
	Period time.Duration
}

// Clock knows when each partition was served. One runs in every process that fires timers.
type Clock struct {
	cfg Config

	mu       sync.Mutex
	since    time.Time
	caughtUp []time.Time
	outages  []outage // by id
	newest   int64    // id
	before   sample
}

type outage struct {
	partition    int
	began, ended time.Time
}

// sample is how far everybody had come at one moment.
type sample struct {
	at       time.Time // the database's clock
	relayed  time.Time // everything recorded until then is on Kafka
	last     []int64   // position of the last event of each partition that is
	position []int64   // lowest checkpoint of each partition
	overdue  []time.Time
	row      row
}

// row is what is kept in the database.
type row struct {
	since    time.Time // zero: it is not there yet
	caughtUp []time.Time
	newest   int64 // outage
}

// New gives a clock that knows nothing before it runs.
func New(cfg Config) *Clock {
	cfg.Period = cmp.Or(cfg.Period, defaultPeriod)
	return &Clock{cfg: cfg}
}

// Run samples until ctx ends. report is called with how each sample went.
func (c *Clock) Run(ctx context.Context, report func(error)) {
	for {
		within, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := c.Sample(within)
		cancel()
		if ctx.Err() != nil {
			return
		}
		report(err)
		if beat.Wait(ctx, c.cfg.Period) != nil {
			return
		}
	}
}

// Down gives how much of the time since a moment some partitions, taken together, were not served, and up to when all of them have
// caught up. The zero time: unknown.
func (c *Clock) Down(partitions []int, since time.Time) (down time.Duration, upTo time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		return 0, time.Time{}
	}
	var spans []outage
	if since.Before(c.since) {
		spans = append(spans, outage{began: since, ended: c.since})
	}
	for _, o := range c.outages {
		if slices.Contains(partitions, o.partition) && o.ended.After(since) {
			spans = append(spans, o)
		}
	}
	slices.SortFunc(spans, func(a, b outage) int { return a.began.Compare(b.began) })
	at := since
	for _, o := range spans {
		from := o.began
		if from.Before(at) {
			from = at
		}
		if o.ended.After(from) {
			down += o.ended.Sub(from)
			at = o.ended
		}
	}
	for _, p := range partitions {
		if t := c.caughtUp[p]; upTo.IsZero() || t.Before(upTo) {
			upTo = t
		}
	}
	return down, upTo
}

// Sample looks how far everybody has come, and keeps it.
func (c *Clock) Sample(ctx context.Context) error {
	now, err := c.look(ctx)
	if err != nil {
		return fmt.Errorf("sampling how far the partitions have come: %w", err)
	}
	if now.relayed.IsZero() { // no relay has ever run
		return nil
	}
	c.mu.Lock()
	reached := c.reached(c.before, now)
	enough := c.enough(now.row, reached)
	if enough {
		c.since, c.caughtUp = now.row.since, latest(c.caughtUp, now.row.caughtUp, reached)
	}
	c.mu.Unlock()
	if !enough {
		if err := c.keep(ctx, now.at, reached); err != nil {
			return fmt.Errorf("keeping how far the partitions have come: %w", err)
		}
	}
	c.mu.Lock()
	c.before = now
	c.mu.Unlock()
	return nil
}

// enough tells whether the row says nothing that the clock does not know, and nearly everything that it does. The caller holds c.mu.
func (c *Clock) enough(r row, reached []time.Time) bool {
	if r.since.IsZero() || len(r.caughtUp) != c.cfg.Partitions || r.newest != c.newest {
		return false
	}
	for p, t := range reached {
		if t.Sub(r.caughtUp[p]) >= behind*c.cfg.Period {
			return false
		}
	}
	return true
}

// latest gives the latest times of each partition; the first may be empty.
func latest(all ...[]time.Time) []time.Time {
	out := slices.Clone(all[1])
	for _, times := range all {
		for p, t := range times {
			if t.After(out[p]) {
				out[p] = t
			}
		}
	}
	return out
}

const lookSQL = `
	select r.caught_up_at, r.last, now(), p.n, coalesce(c.position, 0), w.due_at,
		u.since, u.caught_up_at, coalesce((select max(id) from daybook.outage), 0)
	from daybook.relay r
	left join daybook.uptime u on true
	cross join generate_series(0, $1 - 1) as p(n)
	left join (
		select partition, min(position) as position from (
			select partition, position from daybook.saga_checkpoint where name = any($2)
			union all select partition, position from daybook.reactor_checkpoint where name = any($3)
		) as each group by partition
	) as c on c.partition = p.n
	left join lateral (select min(due_at) as due_at from daybook.reactor_waiting where partition = p.n and reactor = any($3)) as w on true
	order by p.n`

func (c *Clock) look(ctx context.Context) (sample, error) {
	s := sample{overdue: make([]time.Time, c.cfg.Partitions)}
	rows, err := c.cfg.Pool.Query(ctx, lookSQL, c.cfg.Partitions, c.cfg.Sagas, c.cfg.Reactors)
	if err != nil {
		return s, err
	}
	var (
		n            int
		position     int64
		relayed, due *time.Time
		since        *time.Time
	)
	to := []any{&relayed, &s.last, &s.at, &n, &position, &due, &since, &s.row.caughtUp, &s.row.newest}
	_, err = pgx.ForEachRow(rows, to, func() error {
		if since != nil {
			s.row.since = *since
		}
		s.position = append(s.position, position)
		if relayed != nil {
			s.relayed = *relayed
		}
		if due != nil && s.at.Sub(*due) > c.cfg.Attending {
			s.overdue[n] = *due
		}
		return nil
	})
	return s, err
}

// reached gives up to when each partition has caught up, as two samples tell; the zero time: they do not.
func (c *Clock) reached(before, now sample) []time.Time {
	out := make([]time.Time, c.cfg.Partitions)
	if len(now.last) < c.cfg.Partitions { // the topic has other partitions
		return out
	}
	for p := range out {
		if len(before.last) > p && now.position[p] >= before.last[p] {
			out[p] = before.relayed
		}
		if now.position[p] >= now.last[p] {
			out[p] = now.relayed
		}
		if due := now.overdue[p]; !due.IsZero() && due.Before(out[p]) {
			out[p] = due
		}
	}
	return out
}

// keep moves the row and adds an outage wherever it moves by more than a normal pause; then it reads what others have added.
func (c *Clock) keep(ctx context.Context, at time.Time, reached []time.Time) error {
	var since time.Time
	var caughtUp []time.Time
	var newer []outage
	c.mu.Lock()
	newest, known := c.newest, slices.Clone(c.caughtUp)
	c.mu.Unlock()
	err := pgx.BeginFunc(ctx, c.cfg.Pool, func(tx pgx.Tx) error {
		row := tx.QueryRow(ctx, `select since, caught_up_at from daybook.uptime for update`)
		switch err := row.Scan(&since, &caughtUp); {
		case errors.Is(err, pgx.ErrNoRows):
			since, caughtUp = at, slices.Repeat([]time.Time{at}, c.cfg.Partitions)
			if _, err := tx.Exec(ctx, `insert into daybook.uptime (since, caught_up_at) values ($1, $2) on conflict do nothing`, since, caughtUp); err != nil {
				return err
			}
		case err != nil:
			return err
		case len(caughtUp) != c.cfg.Partitions:
			return fmt.Errorf("it is kept for %d partitions, not %d", len(caughtUp), c.cfg.Partitions)
		}
		batch, moved := &pgx.Batch{}, false
		batch.Queue(`set local synchronous_commit = off`) // an older row finds the same outage, or a longer one
		for p, t := range reached {
			if !t.After(caughtUp[p]) {
				continue
			}
			from := caughtUp[p]
			if p < len(known) && known[p].After(from) {
				from = known[p]
			}
			if t.Sub(from) > pauses*c.cfg.Period {
				batch.Queue(`insert into daybook.outage (partition, began, ended) values ($1, $2, $3)`, p, from, t)
				batch.Queue(`delete from daybook.outage where ended < now() - interval '` + kept + `'`)
			}
			caughtUp[p], moved = t, true
		}
		if moved {
			batch.Queue(`update daybook.uptime set caught_up_at = $1`, caughtUp)
		}
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select id, partition, began, ended from daybook.outage where id > $1 order by id`, newest)
		if err != nil {
			return err
		}
		var o outage
		_, err = pgx.ForEachRow(rows, []any{&newest, &o.partition, &o.began, &o.ended}, func() error {
			newer = append(newer, o)
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since, c.caughtUp, c.newest = since, latest(c.caughtUp, caughtUp), newest
	c.outages = append(c.outages, newer...)
	return nil
}
