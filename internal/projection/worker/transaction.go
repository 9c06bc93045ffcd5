package worker

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/mutant"
)

// settings of each batch's transaction. A crash may lose it, for its checkpoint stands in it. Every statement looks rows
// up by their primary keys, whatever the tables hold: nothing else may be planned, so a plan made while a table was empty
// is as good as any later, and one per statement and connection is enough. Planning each time costs more than half of
// a live event.
const settings = `select set_config('synchronous_commit', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true),
	set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
	set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true), set_config('lock_timeout', '20s', true),
	set_config('idle_in_transaction_session_timeout', '60s', true)`

// transaction is one batch of one partition in Postgres.
type transaction struct {
	w         *Worker
	conn      *pgxpool.Conn
	partition int
	builds    []*build         // whose checkpoints are locked
	at        map[int64]uint64 // where they were, by build
}

// begin locks the builds' checkpoints and loads the rows, in one round trip.
func (t *transaction) begin(ctx context.Context, folds []*fold) error {
	ids := make([]int64, len(t.builds))
	for i, b := range t.builds {
		ids[i] = b.id
	}
	b := &pgx.Batch{}
	b.Queue("begin")
	b.Queue(settings)
	b.Queue(`select build, position from daybook.projection_checkpoint where part = $1 and build = any($2) order by build for update`, t.partition, ids)
	queueLoads(b, folds)
	return send(ctx, t.conn, b, func(res pgx.BatchResults) error {
		for range 2 {
			if _, err := res.Exec(); err != nil {
				return err
			}
		}
		if err := t.checkpoints(res); err != nil {
			return err
		}
		return scanLoads(res, folds)
	})
}

// load reads rows after begin.
func (t *transaction) load(ctx context.Context, folds []*fold) error {
	b := &pgx.Batch{}
	queueLoads(b, folds)
	return send(ctx, t.conn, b, func(res pgx.BatchResults) error { return scanLoads(res, folds) })
}

func send(ctx context.Context, conn *pgxpool.Conn, b *pgx.Batch, take func(pgx.BatchResults) error) error {
	res := conn.SendBatch(ctx, b)
	err := take(res)
	if closing := res.Close(); err == nil {
		err = closing
	}
	return err
}

func queueLoads(b *pgx.Batch, folds []*fold) {
	for _, f := range folds {
		keys, suffixes := f.keys()
		b.Queue(f.build.sql.load, keys, suffixes)
	}
}

func scanLoads(res pgx.BatchResults, folds []*fold) error {
	for _, f := range folds {
		rows, err := res.Query()
		if err == nil {
			err = f.scan(rows)
		}
		if err != nil {
			return fmt.Errorf("loading %s: %w", f.build.live.name, err)
		}
	}
	return nil
}

func (t *transaction) checkpoints(res pgx.BatchResults) error {
	rows, err := res.Query()
	if err != nil {
		return err
	}
	var build, position int64
	t.at = make(map[int64]uint64, len(t.builds))
	if _, err := pgx.ForEachRow(rows, []any{&build, &position}, func() error {
		t.at[build] = uint64(position) //nolint:gosec // checkpoints are not negative
		return nil
	}); err != nil {
		return err
	}
	if len(t.at) != len(t.builds) {
		return fmt.Errorf("of %d builds only %d have a checkpoint", len(t.builds), len(t.at))
	}
	return nil
}

// lead is how far the first of the builds is.
func (t *transaction) lead() (at uint64) {
	for _, a := range t.at {
		at = max(at, a)
	}
	return at
}

// post folds records into the builds whose checkpoint is chosen, each from there on, and commits.
func (t *transaction) post(ctx context.Context, folds []*fold, records []es.Record, chosen func(at uint64) bool) error {
	var fed []*fold
	for _, f := range folds {
		if at := t.at[f.build.id]; chosen(at) {
			if err := f.apply(t.conn.Conn().TypeMap(), at); err != nil {
				return err
			}
			if f.folded > 0 {
				fed = append(fed, f)
			}
		}
	}
	if err := t.write(ctx, fed, records[len(records)-1], chosen); err != nil {
		return err
	}
	failpoint.Hit(failpoint.ProjectorBefore)
	if _, err := t.conn.Exec(ctx, "commit"); err != nil {
		return err
	}
	failpoint.Hit(failpoint.ProjectorAfter)
	for _, f := range fed {
		t.w.metrics.events.Add(float64(f.folded))
		t.w.metrics.rows.Add(float64(len(f.order)))
	}
	return nil
}

// write sends every row and version, and moves the checkpoints to the last record from where they were read, in one
// round trip.
func (t *transaction) write(ctx context.Context, folds []*fold, last es.Record, chosen func(at uint64) bool) error {
	b := &pgx.Batch{}
	for _, f := range folds {
		sql := f.build.sql
		if h := f.build.history; h != nil {
			if e := f.endings(); len(e.keys) > 0 {
				b.Queue(sql.end, e.keys, e.suffixes, e.versions, e.valid, e.recordedTo)
			}
			b.Queue(sql.insert, h.appendArray(nil, f.newVersions()))
		}
		b.Queue(sql.upsert, f.build.live.appendArray(nil, f.changed()))
	}
	if mutant.On(mutant.CheckpointApart) {
		b.Queue("commit")
		b.Queue("begin")
	}
	var ids, from []int64
	for id, at := range t.at {
		if chosen(at) && at < last.Position {
			ids, from = append(ids, id), append(from, int64(at)) //nolint:gosec // positions stay below 2^63
		}
	}
	b.Queue(`update daybook.projection_checkpoint c set position = $1, recorded_at = greatest(recorded_at, $2)
		from unnest($3::bigint[], $4::bigint[]) was(build, position) where c.part = $5 and c.build = was.build and c.position = was.position`,
		int64(last.Position), last.Created, ids, from, t.partition) //nolint:gosec // as above
	b.Queue(`select pg_notify('daybook_projection', '')`)

	var moved int64
	err := send(ctx, t.conn, b, func(res pgx.BatchResults) error {
		for i := range b.Len() {
			tag, err := res.Exec()
			if err != nil {
				return err
			}
			if i == b.Len()-2 {
				moved = tag.RowsAffected()
			}
		}
		return nil
	})
	if err == nil && moved != int64(len(ids)) {
		err = fmt.Errorf("%d of %d checkpoints moved: %w", moved, len(ids), feed.ErrFenced)
	}
	return err
}
