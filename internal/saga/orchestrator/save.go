package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/mutant"
)

const upsert = `
insert into daybook.saga_instance as i (instance, saga, key, partition, revision, version, phase, step, failure, stuck,
	waiting, due_at, error, started_at, updated_at)
select r.instance, r.saga, r.key, r.partition, r.revision, r.version, r.phase, r.step, r.failure, r.stuck,
	r.waiting::jsonb, r.due_at, r.error, r.started_at, now()
from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::int[], $7::text[], $8::text[], $9::text[],
	$10::text[], $11::text[], $12::timestamptz[], $13::text[], $14::timestamptz[])
	as r(instance, saga, key, partition, revision, version, phase, step, failure, stuck, waiting, due_at, error, started_at)
on conflict (instance) do update set
	partition = excluded.partition, revision = excluded.revision, version = excluded.version, phase = excluded.phase,
	step = excluded.step, failure = excluded.failure, stuck = excluded.stuck, waiting = excluded.waiting,
	due_at = excluded.due_at, error = excluded.error, updated_at = excluded.updated_at
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
		due, started                                                     = make([]*time.Time, n), make([]time.Time, n)
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
	}
	b.Queue(sql, ids, sagas, keys, partitions, revisions, versions, phases, steps, failures, stucks, waiting, due, errs, started)
}

// saver writes all that this process' sagas keep in Postgres beside a checkpoint that moves alone, one transaction after
// another: whoever comes while one is under way is taken along by the next. So rows that an owner and a batch both write do
// not wait for each other, and many share one commit.
type saver struct {
	pool *pgxpool.Pool
	hit  func(failpoint.Name)

	mu    sync.Mutex
	queue []*saving
	busy  bool
}

// saving is an owner's row, or a batch's rows and the checkpoints that move with them.
type saving struct {
	ctx    context.Context //nolint:containedctx // of who waits for it
	rows   []row
	move   *move // nil: an owner's
	notify bool
	done   chan error
}

// move advances the checkpoints of a partition to last.
type move struct {
	partition int
	names     []string
	from      []int64
	last      uint64
}

const saveTimeout = 30 * time.Second

func (s *saver) save(ctx context.Context, one saving) error {
	one.ctx, one.done = ctx, make(chan error, 1)
	s.mu.Lock()
	s.queue = append(s.queue, &one)
	lead := !s.busy
	s.busy = true
	s.mu.Unlock()
	if lead {
		go s.lead(context.WithoutCancel(ctx))
	}
	select {
	case err := <-one.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *saver) lead(ctx context.Context) {
	for {
		s.mu.Lock()
		batch := s.queue
		if s.queue = nil; len(batch) == 0 {
			s.busy = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		err := s.write(ctx, batch)
		for i := range batch {
			own := err
			if err != nil && len(batch) > 1 { // none suffers for another
				own = s.write(ctx, batch[i:i+1])
			}
			batch[i].done <- own
		}
	}
}

const moveAll = `
update daybook.saga_checkpoint c set position = r.upto
from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) as r(saga, partition, was, upto)
where c.saga = r.saga and c.partition = r.partition and c.position = r.was`

// statements are what a batch comes to.
type statements struct {
	names           []string // of the sagas whose checkpoints move
	partitions      []int
	from, upto      []int64
	heard, lookedTo []row
	moves, notify   bool
}

func statementsOf(batch []*saving) (all statements) {
	for _, one := range batch {
		all.notify = all.notify || one.notify
		m := one.move
		if m == nil {
			all.lookedTo = append(all.lookedTo, one.rows...)
			continue
		}
		all.moves, all.heard = true, append(all.heard, one.rows...)
		for i := range m.names {
			all.names, all.partitions = append(all.names, m.names[i]), append(all.partitions, m.partition)
			all.from, all.upto = append(all.from, m.from[i]), append(all.upto, int64(m.last)) //nolint:gosec // below 2^63
		}
	}
	return all
}

// send begins a transaction and writes, in one round trip.
func (all statements) send(ctx context.Context, conn *pgxpool.Conn) error {
	var b pgx.Batch
	b.Queue("begin")
	if all.moves {
		b.Queue(moveAll, all.names, all.partitions, all.from, all.upto)
	} else { // a database that crashes before this is on disk has older rows, which are still due: nothing is lost
		b.Queue("set local synchronous_commit = off")
	}
	if !mutant.On(mutant.EffectLostAtCrash) {
		queue(&b, upsert, all.heard)
	}
	queue(&b, lookedAt, all.lookedTo)
	if all.notify {
		b.Queue("select pg_notify($1, '')", Channel)
	}
	results := conn.SendBatch(ctx, &b)
	_, err := results.Exec()
	var tag pgconn.CommandTag
	if err == nil {
		tag, err = results.Exec()
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err == nil && tag.RowsAffected() != int64(len(all.names)) {
		err = feed.ErrFenced
	}
	return err
}

func (s *saver) write(ctx context.Context, batch []*saving) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	all := statementsOf(batch)
	err := s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { // which closes one that is left inside a transaction
		err := all.send(ctx, conn)
		if all.moves {
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
