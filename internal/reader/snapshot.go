package reader

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// goal is what a query waits for.
type goal struct {
	position uint64
	knownAt  *time.Time // nil once position covers it
}

// snapshot is one repeatable-read transaction.
type snapshot struct {
	conn   *pgxpool.Conn
	view   *view
	moment query.Moment
	live   map[string]live
	relay  topic.State
}

// live is the build that serves one projection.
type live struct {
	id       int64
	parked   bool // something of it is
	version  int
	schema   string
	position []int64      // of each partition's checkpoint
	recorded []*time.Time // when the event there was recorded
}

const (
	opened = `begin isolation level repeatable read, read only`
	// What is looked up for every answer has one plan per connection, for its tables stay small: planning it each time takes
	// longer than doing it.
	// No query waits long for a lock, or takes longer than its caller waits: it must not keep connections from others.
	known = `select set_config('plan_cache_mode', 'force_generic_plan', true), set_config('lock_timeout', '1s', true), set_config('statement_timeout', '9s', true)`
	// A plan made while a table was small would always scan it.
	planned = `set local plan_cache_mode = force_custom_plan`
)

const pointed = `select p.projection, b.id, exists (select from daybook.projection_parked k where k.build = b.id), b.version, b.schema_name,
	array_agg(c.position order by c.part), array_agg(c.recorded_at order by c.part)
	from daybook.projection_pointer p
	join daybook.projection_build b on b.id = p.build
	join daybook.projection_progress c on c.build = b.id
	where p.projection = any($1) group by p.projection, b.id, b.version, b.schema_name`

// once takes a snapshot and calls read on it if it satisfies the goal; else ErrNotYet.
func (v *view) once(ctx context.Context, ask query.Ask, goal *goal, read func(context.Context, query.Snapshot) error) (answer query.Answer, err error) {
	leave, err := v.enter(ctx)
	if err != nil {
		return answer, err
	}
	defer func() { leave(err) }()
	conn, err := v.reader.cfg.Pool.Acquire(ctx)
	if err != nil {
		return answer, fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer func() { go finish(context.WithoutCancel(ctx), conn) }() // the caller need not wait for that
	s := &snapshot{conn: conn, view: v, moment: ask.Moment, live: map[string]live{}}
	if err := s.look(ctx); err != nil {
		return answer, err
	}
	position := s.reached(ask.Key)
	if err := goal.check(position, s.relay); err != nil {
		return answer, err
	}
	parked, err := s.parked(ctx, ask.Key)
	if err != nil {
		return answer, err
	}
	if err := read(ctx, s); err != nil {
		return answer, err
	}
	answer = s.answer(ask, position)
	answer.Parked = parked
	return answer, nil
}

// enter waits for a turn: no read model has all connections, and one that is held up has one. leave takes how the query ended.
func (v *view) enter(ctx context.Context) (leave func(error), err error) {
	turns := []chan struct{}{v.slots}
	for i := 0; i < len(turns); i++ {
		select {
		case turns[i] <- struct{}{}:
		case <-ctx.Done():
			for _, taken := range turns[:i] {
				<-taken
			}
			return nil, fmt.Errorf("waiting for other queries of the read model: %w", ctx.Err())
		}
		if i == 0 && v.held.Load() {
			turns = append(turns, v.trial)
		}
	}
	return func(err error) {
		if err == nil || busy(err) {
			v.held.Store(err != nil)
		}
		for _, taken := range turns {
			<-taken
		}
	}, nil
}

// finish ends a transaction that has written nothing.
func finish(ctx context.Context, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(ctx, finishWithin)
	defer cancel()
	defer conn.Release() // which closes one that is still inside a transaction
	_, _ = conn.Exec(ctx, "rollback")
}

const finishWithin = 5 * time.Second

// look reads pointer, checkpoints and the relay's row.
func (s *snapshot) look(ctx context.Context) error {
	b := &pgx.Batch{}
	b.Queue(opened)
	b.Queue(known)
	b.Queue(pointed, s.view.names)
	b.Queue(topic.StateSQL)
	b.Queue(planned)
	res := s.conn.SendBatch(ctx, b)
	_, err := res.Exec()
	if err == nil {
		_, err = res.Exec()
	}
	if err == nil {
		var found map[string]live
		if found, err = scanLive(res); err == nil {
			s.live, err = s.view.builds(found)
		}
	}
	if err == nil {
		s.relay, err = topic.ScanState(res.QueryRow())
	}
	if err == nil {
		_, err = res.Exec()
	}
	if closing := res.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("looking up the builds that serve: %w", err)
	}
	return nil
}

// scanLive reads what pointed gives.
func scanLive(res pgx.BatchResults) (map[string]live, error) {
	rows, err := res.Query()
	if err != nil {
		return nil, err
	}
	found := map[string]live{}
	var name string
	var l live
	_, err = pgx.ForEachRow(rows, []any{&name, &l.id, &l.parked, &l.version, &l.schema, &l.position, &l.recorded}, func() error {
		found[name] = l
		l = live{}
		return nil
	})
	return found, err
}

// builds are those of found that serve the view's projections, if they are all there and of the versions that it knows.
func (v *view) builds(found map[string]live) (map[string]live, error) {
	own := map[string]live{}
	for _, name := range v.names {
		l, ok := found[name]
		switch want, n := v.plans[name].Version, v.reader.cfg.Partitions; {
		case !ok:
			return nil, fmt.Errorf("%s: no build serves yet: %w", name, query.ErrRebuilding)
		case l.version != want:
			return nil, fmt.Errorf("%s: version %d serves, this program knows %d: %w", name, l.version, want, query.ErrRebuilding)
		case len(l.position) != n:
			return nil, fmt.Errorf("%s: its build has %d partitions, this process counts %d", name, len(l.position), n)
		}
		own[name] = l
	}
	return own, nil
}

// reached is the position that the key's partition has reached, or all have.
func (s *snapshot) reached(key string) uint64 {
	if key != "" {
		return s.partitionReached(s.view.reader.Partition(key))
	}
	least := ^uint64(0)
	for p := range s.view.reader.cfg.Partitions {
		least = min(least, s.partitionReached(p))
	}
	return least
}

func (s *snapshot) partitionReached(p int) uint64 {
	at := ^uint64(0)
	for _, l := range s.live {
		at = min(at, uint64(l.position[p])) //nolint:gosec // checkpoints are not negative
	}
	return reachedAt(at, p, s.relay)
}

// reachedAt is the position that a partition has reached with its checkpoint at a position.
func reachedAt(at uint64, p int, relay topic.State) uint64 {
	if p < len(relay.Last) && at >= relay.Last[p] {
		return max(at, relay.Position)
	}
	return at
}

// check tells whether a snapshot that has reached a position is enough. It notes how far the relay was the first time
// it had been caught up after the moment of knowledge, for that is how far the rows must come.
func (g *goal) check(position uint64, state topic.State) error {
	if g.knownAt != nil {
		// Recorded times are cut to microseconds: up to one more may count as this one.
		if state.CaughtUpAt.Before(g.knownAt.Add(time.Microsecond)) {
			return fmt.Errorf("everything recorded up to %s is known only up to %s: %w",
				g.knownAt.Format(time.RFC3339Nano), state.CaughtUpAt.Format(time.RFC3339Nano), query.ErrNotYet)
		}
		g.position, g.knownAt = max(g.position, state.Position), nil
	}
	if position < g.position {
		return fmt.Errorf("at %d, asked for %d: %w", position, g.position, query.ErrNotYet)
	}
	return nil
}

// answer names the snapshot's position, and both times where one was asked for: what was known is what had been recorded
// when the newest event up to that position was.
func (s *snapshot) answer(ask query.Ask, position uint64) query.Answer {
	a := query.Answer{Position: position}
	if ask.AsOf == nil && ask.KnownAt == nil {
		return a
	}
	if a.AsOf = ask.AsOf; a.AsOf == nil {
		a.AsOf = micro(new(time.Now()))
	}
	if a.KnownAt = ask.KnownAt; a.KnownAt == nil {
		for _, l := range s.live {
			for p, at := range l.position {
				if r := l.recorded[p]; r != nil && uint64(at) <= position && (a.KnownAt == nil || r.After(*a.KnownAt)) { //nolint:gosec // not negative
					a.KnownAt = new(r.UTC())
				}
			}
		}
	}
	return a
}
