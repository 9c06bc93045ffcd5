package reactor

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/feed"
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

func (e *Engine) prepare(ctx context.Context, name string, first uint64) error {
	_, err := e.cfg.Pool.Exec(ctx, `
		insert into daybook.reactor_checkpoint (reactor, partition, partitions, incarnation, position)
		select $1, p, $2, $3, $4 from generate_series(0, $2 - 1) p
		where not exists (select from daybook.reactor_checkpoint where reactor = $1)
		on conflict do nothing`, name, e.cfg.Partitions, e.cfg.Incarnation, first)
	if err != nil {
		return err
	}
	var rows, others int
	err = e.cfg.Pool.QueryRow(ctx, `
		select count(*), count(*) filter (where partitions <> $2 or incarnation <> $3)
		from daybook.reactor_checkpoint where reactor = $1`, name, e.cfg.Partitions, e.cfg.Incarnation).Scan(&rows, &others)
	if err == nil && (others > 0 || rows != e.cfg.Partitions) {
		err = fmt.Errorf("its checkpoints are of another event store or another number of partitions than %d: run `daybook recover`", e.cfg.Partitions)
	}
	return err
}

// Forget removes what the reactors have read and what they wait for: both are found again from the first positions on. Every
// intent is looked at before anything is called.
func Forget(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `delete from daybook.reactor_waiting; delete from daybook.reactor_checkpoint`)
	return err
}

// Checkpoints gives, per partition, the lowest of the reactors' own.
func (e *Engine) Checkpoints(ctx context.Context, partitions []int) (map[int]uint64, error) {
	e.mu.Lock()
	before := maps.Clone(e.moves)
	e.mu.Unlock()
	rows, err := e.cfg.Pool.Query(ctx, `
		select partition, reactor, position from daybook.reactor_checkpoint
		where partition = any($1) and reactor = any($2) and incarnation = $3`, partitions, e.names, e.cfg.Incarnation)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints of reactors: %w", err)
	}
	found := map[int]map[string]uint64{}
	var partition int
	var name string
	var position int64
	_, err = pgx.ForEachRow(rows, []any{&partition, &name, &position}, func() error {
		if found[partition] == nil {
			found[partition] = map[string]uint64{}
		}
		found[partition][name] = uint64(position) //nolint:gosec // positions are kept below 2^63
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read checkpoints of reactors: %w", err)
	}
	lowest := map[int]uint64{}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range partitions {
		if len(found[p]) != len(e.names) {
			return nil, fmt.Errorf("reactors have %d of %d checkpoints in partition %d: Prepare did not run on this event store", len(found[p]), len(e.names), p)
		}
		lowest[p] = lowestOf(found[p])
		if e.moves[p] == before[p] { // else Apply has moved them since they were read
			e.positions[p] = found[p]
		}
	}
	return lowest, nil
}

// Farthest implements feed.Several.
func (e *Engine) Farthest(partition int) (most uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, at := range e.positions[partition] {
		most = max(most, at)
	}
	return most
}

func lowestOf(positions map[string]uint64) uint64 {
	lowest := uint64(math.MaxUint64)
	for _, p := range positions {
		lowest = min(lowest, p)
	}
	return lowest
}

// Apply opens the intents among the events and moves the checkpoints, in one transaction.
func (e *Engine) Apply(ctx context.Context, partition int, after uint64, events []es.Record) error {
	if len(events) == 0 {
		return nil
	}
	last := events[len(events)-1].Position
	e.mu.Lock()
	at := e.positions[partition]
	e.mu.Unlock()
	if at == nil {
		return fmt.Errorf("partition %d of the reactors: applied before its checkpoints were asked for", partition)
	}
	if after > lowestOf(at) {
		return fmt.Errorf("partition %d of the reactors stands at %d, not %d: %w", partition, lowestOf(at), after, feed.ErrFenced)
	}
	moved := map[string]uint64{}
	opened := false
	var missed []waking
	options := pgx.TxOptions{BeginQuery: "begin; set local synchronous_commit = off; set local lock_timeout = '1s'"}
	err := pgx.BeginTxFunc(ctx, e.cfg.Pool, options, func(tx pgx.Tx) error {
		for _, name := range e.names {
			from := at[name]
			moved[name] = max(from, last)
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
	e.mu.Lock()
	e.positions[partition] = moved
	e.moves[partition]++
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
	moved, err := tx.Exec(ctx, `
		update daybook.reactor_checkpoint set position = $5
		where reactor = $1 and partition = $2 and incarnation = $3 and position = $4`,
		name, partition, e.cfg.Incarnation, from, events[len(events)-1].Position)
	if err != nil {
		return false, nil, err
	}
	if moved.RowsAffected() != 1 {
		return false, nil, feed.ErrFenced
	}
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
	for i, r := range open {
		ids[i], streams[i] = r.ID.String(), r.Stream.String()
		revisions[i] = strconv.FormatUint(r.Revision, 10)
		recorded[i] = es.Micro(r.Created).Format("2006-01-02T15:04:05.000000Z")
	}
	tag, err := tx.Exec(ctx, `
		insert into daybook.reactor_waiting (reactor, intent, partition, stream, revision, recorded_at, opened_at, due_at)
		select $1, i::uuid, $2, s, r::bigint, c::timestamptz, $7, $7
		from unnest($3::text[], $4::text[], $5::text[], $6::text[]) u (i, s, r, c)
		on conflict do nothing`, name, partition, ids, streams, revisions, recorded, e.now())
	return tag.RowsAffected(), err
}
