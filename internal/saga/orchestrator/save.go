package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
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

// saver writes the owner's rows, those of many instances in one transaction: whoever comes first takes along all that
// queue up while a transaction is under way.
type saver struct {
	pool *pgxpool.Pool

	mu    sync.Mutex
	queue []*saving
	busy  bool
}

type saving struct {
	row  row
	done chan error
}

const saveTimeout = 30 * time.Second

func (s *saver) save(ctx context.Context, r row) error {
	mine := &saving{r, make(chan error, 1)}
	s.mu.Lock()
	s.queue = append(s.queue, mine)
	lead := !s.busy
	s.busy = true
	s.mu.Unlock()
	if lead {
		go s.lead(context.WithoutCancel(ctx))
	}
	select {
	case err := <-mine.done:
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
		rows := make([]row, len(batch))
		for i := range batch {
			rows[i] = batch[i].row
		}
		err := s.write(ctx, rows)
		for _, one := range batch {
			one.done <- err
		}
	}
}

func (s *saver) write(ctx context.Context, rows []row) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var b pgx.Batch
		// A database that crashes before this is on disk has an older row, which is still due: nothing is lost.
		b.Queue("set local synchronous_commit = off")
		queue(&b, lookedAt, rows)
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return fmt.Errorf("write what %d saga instances wait for: %w", len(rows), err)
	}
	return nil
}
