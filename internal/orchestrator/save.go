package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/groupcommit"
)

const upsert = `
insert into daybook.saga_instance as i (instance, saga, key, partition, revision, version, phase, step, failure, stuck,
	waiting, due_at, reopens_until, error, started_at, updated_at)
select r.instance, r.saga, r.key, r.partition, r.revision, r.version, r.phase, r.step, r.failure, r.stuck,
	r.waiting::jsonb, r.due_at, r.reopens_until, r.error, r.started_at, now()
from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::int[], $7::text[], $8::text[], $9::text[],
	$10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::text[], $15::timestamptz[])
	as r(instance, saga, key, partition, revision, version, phase, step, failure, stuck, waiting, due_at, reopens_until, error, started_at)
on conflict (instance) do update set
	partition = excluded.partition, revision = excluded.revision, version = excluded.version, phase = excluded.phase,
	step = excluded.step, failure = excluded.failure, stuck = excluded.stuck, waiting = excluded.waiting,
	due_at = excluded.due_at, reopens_until = excluded.reopens_until, error = excluded.error, updated_at = excluded.updated_at
where i.revision < excluded.revision`

// lookedAt is upsert for the owner, who may move due_at at the revision it saw.
const lookedAt = upsert + ` or i.revision = excluded.revision`

// queue puts the writing of rows into a batch. Rows are written in the order of their names, so that two transactions
// never wait for each other.
func queue(b *pgx.Batch, sql string, rows []row) {
	if len(rows) == 0 {
		return
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(x, y row) int {
		if c := strings.Compare(x.id.String(), y.id.String()); c != 0 {
			return c
		}
		return int(y.revision) - int(x.revision) //nolint:gosec // small
	})
	rows = slices.CompactFunc(rows, func(x, y row) bool { return x.id == y.id }) // the newest stays
	n := len(rows)
	var (
		ids, sagas, keys, phases, steps, failures, stucks, waiting, errs = make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		partitions, versions                                             = make([]int32, n), make([]int32, n)
		revisions                                                        = make([]int64, n)
		due, until, started                                              = make([]*time.Time, n), make([]*time.Time, n), make([]time.Time, n)
	)
	for i := range rows {
		r := &rows[i]
		ids[i], sagas[i], keys[i], partitions[i] = r.id.String(), r.id.Category, r.id.Key, int32(r.partition)     //nolint:gosec // small
		revisions[i], versions[i], phases[i] = int64(r.revision), int32(r.status.Version), string(r.status.Phase) //nolint:gosec // small
		steps[i], failures[i], stucks[i] = r.status.Step, string(r.status.Failure), r.status.Stuck
		waiting[i], errs[i], started[i] = string(r.waiting), r.err, r.started
		if !r.due.IsZero() {
			due[i] = &r.due
		}
		if !r.status.Until.IsZero() {
			until[i] = &r.status.Until
		}
	}
	b.Queue(sql, ids, sagas, keys, partitions, revisions, versions, phases, steps, failures, stucks, waiting, due, until, errs, started)
}

// saver writes all that this process' sagas keep in Postgres beside a checkpoint that moves alone, one transaction after another. So rows that
// an owner and a batch both write do not wait for each other, and many share one commit.
//
// A common transaction waits briefly for what another session holds. If it fails, each of its savings is written apart, and what
// is still held there goes apart from then on: it keeps none of the others waiting.
type saver struct {
	pool        *pgxpool.Pool
	checkpoints *checkpoint.Set
	hit         func(failpoint.Name)
	group       *groupcommit.Group[*saving]

	mu   sync.Mutex
	held map[string]time.Time // rows and checkpoints: until when they go apart
}

// saving is an owner's row, or a batch's rows and the checkpoints that move with them.
type saving struct {
	ctx    context.Context //nolint:containedctx // of who waits for it
	rows   []row
	move   *checkpoint.Move // nil: an owner's
	notify bool
}

// keys name what a saving may have to wait for.
func (s *saving) keys() (out []string) {
	if s.move != nil {
		out = append(out, strconv.Itoa(s.move.Partition))
	}
	for i := range s.rows {
		out = append(out, s.rows[i].id.String())
	}
	return out
}

const (
	saveTimeout = 10 * time.Second
	lockShort   = 100 * time.Millisecond // of a common transaction
	lockLong    = time.Second            // of one apart
	heldFor     = 30 * time.Second       // after the last time that it was found held
	apartMost   = 3                      // fewer than the pool has
)

func (s *saver) init(pool *pgxpool.Pool, checkpoints *checkpoint.Set, hit func(failpoint.Name)) {
	s.pool, s.checkpoints, s.hit, s.held = pool, checkpoints, hit, map[string]time.Time{}
	s.group = groupcommit.New(groupcommit.Config[*saving]{
		Write:  func(ctx context.Context, batch []*saving) error { return s.write(ctx, batch, lockShort) },
		One:    s.writeApart,
		Again:  func(n int, err error) bool { return n > 1 || isHeld(err) },
		Beside: apartMost,
	})
}

func (s *saver) save(ctx context.Context, one saving) error {
	one.ctx = ctx
	if s.isHeld(&one) {
		return s.group.Alone(ctx, &one)
	}
	return s.group.Do(ctx, &one)
}

// isHeld tells whether something of a saving was found held a short time ago.
func (s *saver) isHeld(one *saving) (held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.held) == 0 {
		return false
	}
	now := time.Now()
	for _, key := range one.keys() {
		until, ok := s.held[key]
		if ok && now.After(until) {
			delete(s.held, key)
			continue
		}
		held = held || ok
	}
	return held
}

// writeApart writes one saving beside all others, and notes whether what it needs is held.
func (s *saver) writeApart(ctx context.Context, one *saving) error {
	err := s.write(ctx, []*saving{one}, lockLong)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range one.keys() {
		if isHeld(err) {
			s.held[key] = time.Now().Add(heldFor)
		} else if err == nil {
			delete(s.held, key)
		}
	}
	return err
}

// isHeld tells whether a statement ended because another session holds a lock.
func isHeld(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "55P03" || pg.Code == "40P01") // lock_not_available, deadlock_detected
}

// statements are what a batch comes to.
type statements struct {
	moves           []checkpoint.Move
	heard, lookedTo []row
	notify          bool
}

func statementsOf(batch []*saving) (all statements) {
	for _, one := range batch {
		all.notify = all.notify || one.notify
		if one.move == nil {
			all.lookedTo = append(all.lookedTo, one.rows...)
			continue
		}
		all.moves, all.heard = append(all.moves, *one.move), append(all.heard, one.rows...)
	}
	return all
}

// send begins a transaction and writes, in one round trip.
func (s *saver) send(ctx context.Context, conn *pgxpool.Conn, all statements, lock time.Duration) error {
	var b pgx.Batch
	b.Queue("begin")
	b.Queue("set local lock_timeout = " + strconv.FormatInt(lock.Milliseconds(), 10))
	if len(all.moves) > 0 {
		s.checkpoints.Queue(&b, all.moves...)
	} else { // a database that crashes before this is on disk has older rows, which are still due: nothing is lost
		b.Queue("set local synchronous_commit = off")
	}
	queue(&b, upsert, all.heard)
	queue(&b, lookedAt, all.lookedTo)
	if all.notify {
		b.Queue("select pg_notify($1, '')", Channel)
	}
	results := conn.SendBatch(ctx, &b)
	var tag pgconn.CommandTag
	var err error
	for range 3 { // the last is that of the checkpoints
		if err == nil {
			tag, err = results.Exec()
		}
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = s.checkpoints.Check(tag, all.moves...)
	}
	return err
}

func (s *saver) write(ctx context.Context, batch []*saving, lock time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	all := statementsOf(batch)
	err := s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { // which closes one that is left inside a transaction
		err := s.send(ctx, conn, all, lock)
		if len(all.moves) > 0 {
			s.hit(failpoint.SagaWaitingBefore)
		}
		for _, one := range batch {
			if err == nil {
				err = one.ctx.Err() // who ended meanwhile has done nothing
			}
		}
		end := "commit"
		if err != nil {
			end = "rollback"
		}
		if _, ended := conn.Exec(ctx, end); err == nil {
			err = ended
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("write checkpoints of sagas, and what %d instances wait for: %w", len(all.heard)+len(all.lookedTo), err)
	}
	return nil
}
