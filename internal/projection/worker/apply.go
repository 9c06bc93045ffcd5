package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/feed"
)

// patience bounds one batch, so that a connection nobody answers on does not hold its partition for ever.
const patience = time.Minute

// settings of each batch's transaction. A crash may lose it, for its checkpoint stands in it. Every statement looks rows
// up by their primary keys: plans are made for the batch, not kept from when a table was empty, and never scan a table.
const settings = `select set_config('synchronous_commit', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true),
	set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
	set_config('jit', 'off', true), set_config('lock_timeout', '20s', true), set_config('idle_in_transaction_session_timeout', '60s', true)`

// Apply implements feed.Consumer.
func (w *Worker) Apply(ctx context.Context, partition int, after uint64, records []es.Record) error {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	events, err := w.decode(records)
	if err != nil {
		return err
	}
	var folds []*fold
	for _, b := range w.builds {
		f, err := b.touchAll(partition, events)
		if err != nil {
			return err
		}
		if f != nil {
			folds = append(folds, f)
		}
	}
	conn, err := w.writers.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer conn.Release() // which closes one that is inside a transaction
	t := transaction{w, conn, partition, after, records[len(records)-1]}
	if err := t.run(ctx, folds); err != nil {
		if ctx.Err() == nil {
			_, _ = conn.Exec(ctx, "rollback")
		}
		return fmt.Errorf("writing the projections' rows of partition %d: %w", partition, err)
	}
	w.metrics.seconds.Observe(time.Since(begin).Seconds())
	for _, f := range folds {
		w.metrics.events.Add(float64(f.folded))
		w.metrics.rows.Add(float64(len(f.order)))
	}
	return nil
}

// decode opens what some projection reads.
func (w *Worker) decode(records []es.Record) ([]es.Recorded, error) {
	events := make([]es.Recorded, 0, len(records))
	for _, rec := range records {
		if !w.reads[rec.Type] {
			continue
		}
		e, err := w.cfg.Catalog.Open(rec)
		if err != nil {
			return nil, fmt.Errorf("event at position %d: %w", rec.Position, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// transaction is one batch in Postgres.
type transaction struct {
	w         *Worker
	conn      *pgxpool.Conn
	partition int
	after     uint64
	last      es.Record
}

func (t transaction) run(ctx context.Context, folds []*fold) error {
	at, err := t.load(ctx, folds)
	if err != nil {
		return err
	}
	for _, f := range folds {
		if err := f.apply(t.conn.Conn().TypeMap(), at[f.build.id]); err != nil {
			return err
		}
	}
	if err := t.write(ctx, folds, at); err != nil {
		return err
	}
	failpoint.Hit(failpoint.ProjectorBefore)
	if _, err := t.conn.Exec(ctx, "commit"); err != nil {
		return err
	}
	failpoint.Hit(failpoint.ProjectorAfter)
	return nil
}

// load begins, locks the builds' checkpoints and reads the rows, in one round trip.
func (t transaction) load(ctx context.Context, folds []*fold) (at map[int64]uint64, err error) {
	b := &pgx.Batch{}
	b.Queue("begin")
	b.Queue(settings)
	b.Queue(`select build, position from daybook.projection_checkpoint where part = $1 and build = any($2) order by build for update`, t.partition, t.w.ids)
	for _, f := range folds {
		keys, suffixes := f.keys()
		b.Queue(f.build.sql.load, keys, suffixes)
	}
	res := t.conn.SendBatch(ctx, b)
	defer func() {
		if closing := res.Close(); err == nil {
			err = closing
		}
	}()
	for range 2 {
		if _, err := res.Exec(); err != nil {
			return nil, err
		}
	}
	if at, err = t.checkpoints(res); err != nil {
		return nil, err
	}
	for _, f := range folds {
		rows, err := res.Query()
		if err != nil {
			return nil, err
		}
		if err := f.scan(rows); err != nil {
			return nil, fmt.Errorf("loading %s: %w", f.build.live.name, err)
		}
	}
	return at, nil
}

// checkpoints compares where the builds are with where the batch begins.
func (t transaction) checkpoints(res pgx.BatchResults) (map[int64]uint64, error) {
	rows, err := res.Query()
	if err != nil {
		return nil, err
	}
	var (
		at              = map[int64]uint64{}
		lowest          = ^uint64(0)
		build, position int64
	)
	if _, err := pgx.ForEachRow(rows, []any{&build, &position}, func() error {
		at[build] = uint64(position) //nolint:gosec // checkpoints are not negative
		lowest = min(lowest, at[build])
		return nil
	}); err != nil {
		return nil, err
	}
	if len(at) != len(t.w.builds) {
		return nil, fmt.Errorf("of %d builds only %d have a checkpoint", len(t.w.builds), len(at))
	}
	if lowest != t.after {
		return nil, fmt.Errorf("batch after %d, checkpoint %d: %w", t.after, lowest, feed.ErrFenced)
	}
	return at, nil
}

// write sends every row and version, and moves the checkpoints from where they were read, in one round trip.
func (t transaction) write(ctx context.Context, folds []*fold, at map[int64]uint64) error {
	b := &pgx.Batch{}
	for _, f := range folds {
		if f.folded == 0 {
			continue
		}
		sql := f.build.sql
		if h := f.build.history; h != nil {
			if e := f.endings(); len(e.keys) > 0 {
				b.Queue(sql.end, e.keys, e.suffixes, e.versions, e.valid, e.recordedTo)
			}
			b.Queue(sql.insert, h.appendArray(nil, f.newVersions()))
		}
		b.Queue(sql.upsert, f.build.live.appendArray(nil, f.changed()))
	}
	var ids, from []int64
	for id, position := range at {
		if position < t.last.Position {
			ids, from = append(ids, id), append(from, int64(position)) //nolint:gosec // positions stay below 2^63
		}
	}
	b.Queue(`update daybook.projection_checkpoint c set position = $1, recorded_at = greatest(recorded_at, $2)
		from unnest($3::bigint[], $4::bigint[]) was(build, position) where c.part = $5 and c.build = was.build and c.position = was.position`,
		int64(t.last.Position), t.last.Created, ids, from, t.partition) //nolint:gosec // as above
	b.Queue(`select pg_notify('daybook_projection', '')`)

	res := t.conn.SendBatch(ctx, b)
	var moved int64
	for i := range b.Len() {
		tag, err := res.Exec()
		if err != nil {
			_ = res.Close() // says the same
			return err
		}
		if i == b.Len()-2 {
			moved = tag.RowsAffected()
		}
	}
	if err := res.Close(); err != nil {
		return err
	}
	if moved != int64(len(ids)) {
		return fmt.Errorf("%d of %d checkpoints moved: %w", moved, len(ids), feed.ErrFenced)
	}
	return nil
}
