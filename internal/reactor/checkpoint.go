package reactor

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/kit/es"
)

var (
	_ feed.Selective = (*Engine)(nil)
	_ feed.Several   = (*Engine)(nil)
)

// Concerns implements feed.Selective: whether the event is an intent, or wakes some.
func (e *Engine) Concerns(_ int, event es.Record) bool {
	return len(e.opens[event.Type]) > 0 || len(e.wakes[event.Type]) > 0
}

// Prepare makes the checkpoints of reactors that have none, and refuses to go on with those of another event store, another number of
// partitions or another filter. It is called before anything serves.
func (e *Engine) Prepare(ctx context.Context) error {
	first := checkpoint.ByName{}
	for _, name := range e.names {
		at, err := e.cfg.Begin(ctx, name)
		if err != nil {
			return fmt.Errorf("first position of reactor %s: %w", name, err)
		}
		first[name] = at
	}
	return e.checkpoints.Begin(ctx, first)
}

// Forget removes what the reactors have read and what they wait for: both are found again from the first positions on. Every
// intent is looked at before anything is called.
func Forget(ctx context.Context, tx pgx.Tx) error {
	if err := checkpoint.Forget(ctx, tx, checkpoint.Reactor); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `delete from daybook.reactor_waiting`)
	return err
}

// Checkpoints gives, per partition, the lowest of the reactors' own.
func (e *Engine) Checkpoints(ctx context.Context, partitions []int) (map[int]uint64, error) {
	return e.checkpoints.Lowest(ctx, partitions)
}

// Farthest implements feed.Several.
func (e *Engine) Farthest(partition int) uint64 { return e.checkpoints.Farthest(partition) }

// Apply opens the intents among the events and moves the checkpoints, in one transaction.
func (e *Engine) Apply(ctx context.Context, partition int, after uint64, events []es.Record) error {
	err := e.apply(ctx, partition, after, events)
	if ctx.Err() == nil && postgres.Unreachable(err) {
		return &failure.Outage{Server: "Postgres", Err: err}
	}
	return err
}

func (e *Engine) apply(ctx context.Context, partition int, after uint64, events []es.Record) error {
	if len(events) == 0 {
		return nil
	}
	last := events[len(events)-1].Position
	at, err := e.checkpoints.Before(partition, after)
	if err != nil {
		return err
	}
	move := e.checkpoints.Move(partition, at, last)
	opened := false
	var missed []waking
	options := pgx.TxOptions{BeginQuery: "begin; set local synchronous_commit = off; set local lock_timeout = '1s'"}
	err = pgx.BeginTxFunc(ctx, e.cfg.Pool, options, func(tx pgx.Tx) error {
		if err := e.checkpoints.In(ctx, tx, move); err != nil {
			return err
		}
		for _, name := range e.names {
			from := at[name]
			if from >= last {
				continue
			}
			due, held, err := e.applyTo(ctx, tx, name, partition, from, events)
			if err != nil {
				return fmt.Errorf("reactor %s, partition %d, %d to %d: %w", name, partition, from, last, err)
			}
			opened = opened || due || len(held) > 0
			for _, stream := range held {
				missed = append(missed, waking{name, stream})
			}
		}
		failpoint.Hit(failpoint.ReactorWaitingBefore)
		return nil
	})
	if err != nil {
		return err
	}
	failpoint.Hit(failpoint.ReactorWaitingAfter)
	e.checkpoints.Moved(move)
	e.mu.Lock()
	for _, w := range missed {
		e.missed[w] = partition
	}
	owner := e.owners[partition]
	e.mu.Unlock()
	if opened {
		wake(owner)
	}
	return nil
}

// waking is that an event makes the open intents of a stream due.
type waking struct{ reactor, stream string }

// applyTo tells whether rows are due because of the events, and gives the streams that could not be woken.
func (e *Engine) applyTo(ctx context.Context, tx pgx.Tx, name string, partition int, from uint64, events []es.Record) (due bool, held []string, err error) {
	open, woken := e.pick(name, from, events)
	if len(open) > 0 {
		n, err := e.open(ctx, tx, name, partition, open)
		if err != nil {
			return false, nil, err
		}
		due = n > 0
	}
	if len(woken) > 0 {
		n, left, err := e.rouse(ctx, tx, name, woken)
		if err != nil {
			return false, nil, err
		}
		due, held = due || n > 0, left
	}
	return due, held, nil
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// rouse makes the open intents of streams due. A row that another session holds is passed over, so that the others need not wait for it:
// its stream is given back.
func (e *Engine) rouse(ctx context.Context, q querier, name string, streams []string) (n int, held []string, err error) {
	err = q.QueryRow(ctx, `
		with free as (
			select reactor, intent from daybook.reactor_waiting where reactor = $1 and stream = any($2) for update skip locked
		), woken as (
			update daybook.reactor_waiting w set due_at = least(w.due_at, $3), wakes = w.wakes + 1 from free
			where w.reactor = free.reactor and w.intent = free.intent returning w.intent
		)
		select (select count(*) from woken), (
			select array_agg(distinct stream) from daybook.reactor_waiting
			where reactor = $1 and stream = any($2) and intent not in (select intent from free)
		)`, name, streams, e.now()).Scan(&n, &held)
	return n, held, err
}

// wakeMissed wakes what was held when an event came for it. A process that ends before leaves it due at its own time.
func (o *owner) wakeMissed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	streams := map[string][]string{}
	o.Engine.mu.Lock()
	for w, p := range o.missed {
		if p == o.partition {
			streams[w.reactor] = append(streams[w.reactor], w.stream)
		}
	}
	o.Engine.mu.Unlock()
	for name, asked := range streams {
		_, held, err := o.rouse(ctx, o.cfg.Pool, name, asked)
		if err != nil {
			return fmt.Errorf("wake intents that were held: %w", err)
		}
		o.Engine.mu.Lock()
		for _, stream := range asked {
			if !slices.Contains(held, stream) {
				delete(o.missed, waking{name, stream})
			}
		}
		o.Engine.mu.Unlock()
	}
	return nil
}

// misses says whether something is still to be woken.
func (o *owner) misses() bool {
	o.Engine.mu.Lock()
	defer o.Engine.mu.Unlock()
	for _, p := range o.missed {
		if p == o.partition {
			return true
		}
	}
	return false
}

// pick gives the events that are intents for a reactor, and the streams whose intents become due.
func (e *Engine) pick(name string, from uint64, events []es.Record) (open []es.Record, woken []string) {
	for _, r := range events {
		if r.Position <= from {
			continue
		}
		for _, of := range e.opens[r.Type] {
			if of == name {
				open = append(open, r)
			}
		}
		for _, of := range e.wakes[r.Type] {
			if of == name {
				woken = append(woken, r.Stream.String())
			}
		}
	}
	return open, woken
}

func (e *Engine) open(ctx context.Context, tx pgx.Tx, name string, partition int, open []es.Record) (int64, error) {
	ids, streams := make([]string, len(open)), make([]string, len(open))
	revisions, recorded := make([]string, len(open)), make([]string, len(open))
	positions, types := make([]string, len(open)), make([]string, len(open))
	for i, r := range open {
		ids[i], streams[i] = r.ID.String(), r.Stream.String()
		revisions[i] = strconv.FormatUint(r.Revision, 10)
		positions[i], types[i] = strconv.FormatUint(r.Position, 10), r.Type
		recorded[i] = es.Micro(r.Created).Format("2006-01-02T15:04:05.000000Z")
	}
	tag, err := tx.Exec(ctx, `
		insert into daybook.reactor_waiting (reactor, intent, partition, stream, revision, recorded_at, opened_at, due_at, position, type)
		select $1, i::uuid, $2, s, r::bigint, c::timestamptz, $7, $7, p::bigint, t
		from unnest($3::text[], $4::text[], $5::text[], $6::text[], $8::text[], $9::text[]) u (i, s, r, c, p, t)
		on conflict do nothing`, name, partition, ids, streams, revisions, recorded, e.now(), positions, types)
	return tag.RowsAffected(), err
}
