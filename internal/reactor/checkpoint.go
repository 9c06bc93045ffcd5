package reactor

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/reactor"
)

var (
	_ feed.Selective = (*Engine)(nil)
	_ feed.Several   = (*Engine)(nil)
)

// Concerns implements feed.Selective: whether the event is an intent, or wakes some.
func (e *Engine) Concerns(partition int, event es.Record) bool {
	return len(e.opens[event.Type]) > 0 || slices.ContainsFunc(e.wakes[event.Type], func(name string) bool {
		return e.open.mayHave(partition, waking{name, event.Stream.String()})
	})
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

// Apply tries the intents among the events, opens those that are not settled at once, and moves the checkpoints, in one transaction.
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
	asked, woken := e.pick(at, events)
	if len(woken) > 0 {
		if err := e.open.load(ctx, e.cfg.Pool, partition); err != nil {
			return fmt.Errorf("reactors, open intents of partition %d: %w", partition, err)
		}
	}
	first := e.tryFirst(ctx, partition, asked)
	defer first.written() // whether they are or not
	c := change{partition: partition, move: e.checkpoints.Move(partition, at, last), rows: first.left(asked)}
	for _, w := range woken {
		if e.open.mayHave(partition, w) || slices.ContainsFunc(c.rows, func(r openRow) bool { return r.waking() == w }) {
			c.woken = append(c.woken, w)
		}
	}
	due, err := e.write(ctx, &c)
	if err != nil {
		e.open.forget(partition) // another process may have opened some
		return fmt.Errorf("reactors, partition %d, up to %d: %w", partition, last, err)
	}
	failpoint.Hit(failpoint.ReactorWaitingAfter)
	e.checkpoints.Moved(c.move)
	e.open.add(partition, c.rows)
	e.mu.Lock()
	for _, w := range c.missed {
		e.missed[w] = partition
	}
	owner := e.owners[partition]
	e.mu.Unlock()
	if due && owner != nil {
		wake(owner.wake)
	}
	return nil
}

// waking is that an event makes the open intents of a stream due.
type waking struct{ reactor, stream string }

// pick gives the events that are intents, and what they make due, in the order of the reactors' names.
func (e *Engine) pick(at checkpoint.ByName, events []es.Record) (asked []row, woken []waking) {
	now := e.now()
	for _, name := range e.names {
		for _, r := range events {
			if r.Position <= at[name] {
				continue
			}
			if slices.Contains(e.opens[r.Type], name) {
				task := reactor.Task{ID: r.ID, Stream: r.Stream, Revision: r.Revision, Recorded: es.Micro(r.Created), Opened: now}
				asked = append(asked, row{reactor: name, task: task, position: r.Position, typ: r.Type, due: now})
			}
			if slices.Contains(e.wakes[r.Type], name) {
				woken = append(woken, waking{name, r.Stream.String()})
			}
		}
	}
	return asked, woken
}

// change is what a batch comes to in Postgres.
type change struct {
	partition int
	move      checkpoint.Move
	rows      []openRow
	woken     []waking
	missed    []waking // of those, what could not be woken
}

// openRow is a row as it is written first.
type openRow struct {
	row

	memo []byte // nil: none
}

func (r row) waking() waking { return waking{r.reactor, r.task.Stream.String()} }

const unsynced = "select set_config('synchronous_commit', 'off', true), set_config('lock_timeout', $1, true)"

// write makes a change, in one transaction, and tells whether rows are due because of it before they are looked for.
func (e *Engine) write(ctx context.Context, c *change) (due bool, err error) {
	if len(c.rows)+len(c.woken) == 0 {
		failpoint.Hit(failpoint.ReactorWaitingBefore)
		return false, e.moveAlone(ctx, c.move)
	}
	options := pgx.TxOptions{BeginQuery: "begin; set local synchronous_commit = off; set local lock_timeout = '1s'"}
	err = pgx.BeginTxFunc(ctx, e.cfg.Pool, options, func(tx pgx.Tx) error {
		if err := e.checkpoints.In(ctx, tx, c.move); err != nil {
			return err
		}
		if err := e.insert(ctx, tx, c.partition, c.rows); err != nil {
			return fmt.Errorf("open %d intents: %w", len(c.rows), err)
		}
		for name, streams := range byReactor(c.woken) {
			n, held, err := e.rouse(ctx, tx, name, streams)
			if err != nil {
				return fmt.Errorf("reactor %s, wake intents: %w", name, err)
			}
			due = due || n > 0 || len(held) > 0
			for _, stream := range held {
				c.missed = append(c.missed, waking{name, stream})
			}
		}
		failpoint.Hit(failpoint.ReactorWaitingBefore)
		return nil
	})
	soon := e.now().Add(e.cfg.Poll)
	due = due || slices.ContainsFunc(c.rows, func(r openRow) bool { return r.due.Before(soon) })
	return due, err
}

// moveAlone moves checkpoints with which nothing else is written, in one round trip: a batch is a transaction. If one of several names is
// fenced, the others have moved rightly.
func (e *Engine) moveAlone(ctx context.Context, move checkpoint.Move) error {
	var b pgx.Batch
	b.Queue(unsynced, "1s")
	e.checkpoints.Queue(&b, move)
	res := e.cfg.Pool.SendBatch(ctx, &b)
	_, err := res.Exec()
	var tag pgconn.CommandTag
	if err == nil {
		tag, err = res.Exec()
	}
	if closing := res.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("move checkpoints: %w", err)
	}
	return e.checkpoints.Check(tag, move)
}

// byReactor gives the streams to be woken, in the order of the reactors' names.
func byReactor(woken []waking) iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for len(woken) > 0 { // they come in this order
			name, streams := woken[0].reactor, []string(nil)
			for ; len(woken) > 0 && woken[0].reactor == name; woken = woken[1:] {
				streams = append(streams, woken[0].stream)
			}
			if !yield(name, streams) {
				return
			}
		}
	}
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

func (e *Engine) insert(ctx context.Context, tx pgx.Tx, partition int, rows []openRow) error {
	if len(rows) == 0 {
		return nil
	}
	n := len(rows)
	names, ids, streams, types := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	revisions, positions, tries := make([]int64, n), make([]int64, n), make([]int32, n)
	recorded, opened, due, memos := make([]time.Time, n), make([]time.Time, n), make([]time.Time, n), make([]*string, n)
	for i, r := range rows {
		names[i], ids[i], streams[i], types[i] = r.reactor, r.task.ID.String(), r.task.Stream.String(), r.typ
		revisions[i], positions[i], tries[i] = int64(r.task.Revision), int64(r.position), int32(r.task.Tries) //nolint:gosec // below 2^63, and small
		recorded[i], opened[i], due[i] = r.task.Recorded, r.task.Opened, r.due
		if r.memo != nil {
			memos[i] = new(string(r.memo))
		}
	}
	_, err := tx.Exec(ctx, `
		insert into daybook.reactor_waiting (reactor, intent, partition, stream, revision, recorded_at, opened_at, due_at, position, type, tries, memo)
		select r, i::uuid, $1, s, n, c, o, d, p, t, tries, m::jsonb
		from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::bigint[], $10::text[],
			$11::int[], $12::text[]) u (r, i, s, n, c, o, d, p, t, tries, m)
		on conflict do nothing`, partition, names, ids, streams, revisions, recorded, opened, due, positions, types, tries, memos)
	return err
}
