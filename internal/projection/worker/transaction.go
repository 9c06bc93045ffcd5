package worker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/mutant"
	"github.com/daybook-dev/daybook/internal/projection"
	"github.com/daybook-dev/daybook/internal/relay"
)

// settings of each batch's transaction. A crash may lose it, for its checkpoint stands in it. Every statement looks rows
// up by their primary keys, whatever the tables hold: nothing else may be planned, so a plan made while a table was empty
// is as good as any later, and one per statement and connection is enough. Planning each time costs more than half of
// a live event.
const settings = `select set_config('synchronous_commit', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true),
	set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
	set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true), set_config('lock_timeout', '20s', true),
	set_config('idle_in_transaction_session_timeout', '60s', true)`

// share is one partition's part in a transaction.
type share struct {
	partition int
	records   []es.Record
	folds     []*fold
	// chosen says by its checkpoint whether a build is fed; check, which may be nil, whether the partition's may be at all.
	chosen func(at uint64) bool
	check  func(*share) error

	at map[int64]uint64 // where the checkpoints were, by build, once they are locked
}

func (s *share) last() es.Record { return s.records[len(s.records)-1] }

// lead is how far the first of the builds is.
func (s *share) lead() (at uint64) {
	for _, a := range s.at {
		at = max(at, a)
	}
	return at
}

// transaction is batches of one or several partitions in Postgres.
type transaction struct {
	w      *Worker
	conn   *pgxpool.Conn
	builds []*build // whose checkpoints are locked
	shares []*share // by partition
}

// begin locks the builds' checkpoints and loads the rows, in one round trip.
func (t *transaction) begin(ctx context.Context) error {
	ids := make([]int64, len(t.builds))
	for i, b := range t.builds {
		ids[i] = b.id
	}
	groups := t.groups()
	b := &pgx.Batch{}
	b.Queue("begin")
	b.Queue(settings)
	b.Queue(`select part, build, position from daybook.projection_checkpoint where part = any($1) and build = any($2) order by part, build for update`, t.partitions(), ids)
	queueLoads(b, groups)
	err := send(ctx, t.conn, b, func(res pgx.BatchResults) error {
		for range 2 {
			if _, err := res.Exec(); err != nil {
				return err
			}
		}
		if err := t.checkpoints(res); err != nil {
			return err
		}
		return scanLoads(res, groups)
	})
	for _, s := range t.shares {
		if err == nil && s.check != nil {
			err = s.check(s)
		}
	}
	return err
}

func (t *transaction) partitions() []int {
	all := make([]int, len(t.shares))
	for i, s := range t.shares {
		all[i] = s.partition
	}
	return all
}

// load reads rows after begin.
func (t *transaction) load(ctx context.Context) error {
	groups := t.groups()
	b := &pgx.Batch{}
	queueLoads(b, groups)
	return send(ctx, t.conn, b, func(res pgx.BatchResults) error { return scanLoads(res, groups) })
}

// group is one build's folds, of several partitions: one statement serves all, because no two have a row in common.
type group struct {
	*build

	folds []*fold
}

// groups are the builds that have rows in the transaction, in an order that all transactions share.
func (t *transaction) groups() (groups []group) {
	for _, s := range t.shares {
		for _, f := range s.folds {
			i := slices.IndexFunc(groups, func(g group) bool { return g.build == f.build })
			if i < 0 {
				i, groups = len(groups), append(groups, group{build: f.build})
			}
			groups[i].folds = append(groups[i].folds, f)
		}
	}
	slices.SortFunc(groups, func(a, b group) int { return cmp.Compare(a.id, b.id) })
	return groups
}

func send(ctx context.Context, conn *pgxpool.Conn, b *pgx.Batch, take func(pgx.BatchResults) error) error {
	res := conn.SendBatch(ctx, b)
	err := take(res)
	if closing := res.Close(); err == nil {
		err = closing
	}
	return err
}

func queueLoads(b *pgx.Batch, groups []group) {
	for _, g := range groups {
		var keys, suffixes []string
		for _, f := range g.folds {
			keys, suffixes = f.keys(keys, suffixes)
		}
		b.Queue(g.sql.load, keys, suffixes)
	}
}

func scanLoads(res pgx.BatchResults, groups []group) error {
	for _, g := range groups {
		rows, err := res.Query()
		if err == nil {
			err = g.scan(rows)
		}
		if err != nil {
			return fmt.Errorf("loading %s: %w", g.live.name, err)
		}
	}
	return nil
}

// scan takes over the rows that are there.
func (g group) scan(rows pgx.Rows) error {
	defer rows.Close()
	for rows.Next() {
		raw := rows.RawValues()
		key := projection.Key{Key: string(raw[0]), Suffix: string(raw[1])}
		i := slices.IndexFunc(g.folds, func(f *fold) bool { return f.rows[key] != nil })
		if i < 0 {
			return fmt.Errorf("row %s was not asked for", key)
		}
		if err := g.folds[i].scan(key, rows); err != nil {
			return fmt.Errorf("row %s: %w", key, err)
		}
	}
	return rows.Err()
}

func (t *transaction) checkpoints(res pgx.BatchResults) error {
	rows, err := res.Query()
	if err != nil {
		return err
	}
	at := map[int]map[int64]uint64{}
	var (
		part            int
		build, position int64
	)
	if _, err := pgx.ForEachRow(rows, []any{&part, &build, &position}, func() error {
		if at[part] == nil {
			at[part] = make(map[int64]uint64, len(t.builds))
		}
		at[part][build] = uint64(position) //nolint:gosec // checkpoints are not negative
		return nil
	}); err != nil {
		return err
	}
	for _, s := range t.shares {
		if s.at = at[s.partition]; len(s.at) != len(t.builds) {
			return fmt.Errorf("of %d builds only %d have a checkpoint in partition %d", len(t.builds), len(s.at), s.partition)
		}
	}
	return nil
}

// post folds each share's records into the builds whose checkpoint is chosen, each from there on, and commits.
func (t *transaction) post(ctx context.Context) error {
	events, rows := 0, 0
	for _, s := range t.shares {
		for _, f := range s.folds {
			at := s.at[f.build.id]
			if !s.chosen(at) {
				continue
			}
			if err := f.apply(t.conn.Conn().TypeMap(), at); err != nil {
				return err
			}
			if f.folded > 0 {
				events, rows = events+f.folded, rows+len(f.order)
			}
		}
	}
	failpoint.Hit(failpoint.ProjectorBefore)
	if err := t.write(ctx); err != nil {
		return err
	}
	failpoint.Hit(failpoint.ProjectorAfter)
	t.w.metrics.events.Add(float64(events))
	t.w.metrics.rows.Add(float64(rows))
	return nil
}

// write sends every row and version, moves the checkpoints to the last records from where they were read, and commits, in one
// round trip. The checkpoints are locked, so where they were read is where they are.
func (t *transaction) write(ctx context.Context) error {
	b := &pgx.Batch{}
	for _, g := range t.groups() {
		g.queueRows(b)
	}
	if mutant.On(mutant.CheckpointApart) {
		b.Queue("commit")
		b.Queue("begin")
	}
	var (
		parts         []int
		ids, from, to []int64
		recorded      []time.Time
	)
	for _, s := range t.shares {
		last := s.last()
		for id, at := range s.at {
			if s.chosen(at) && at < last.Position {
				parts, ids, from = append(parts, s.partition), append(ids, id), append(from, int64(at)) //nolint:gosec // positions stay below 2^63
				to, recorded = append(to, int64(last.Position)), append(recorded, last.Created)         //nolint:gosec // likewise
			}
		}
	}
	b.Queue(`update daybook.projection_checkpoint c set position = moved.upto, recorded_at = greatest(recorded_at, moved.recorded)
		from unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[]) moved(part, build, was, upto, recorded)
		where c.part = moved.part and c.build = moved.build and c.position = moved.was`, parts, ids, from, to, recorded)
	b.Queue(`select pg_notify($1, $2)`, relay.Moved, relay.RowsMoved(t.partitions()))
	b.Queue("commit")

	var moved int64
	err := send(ctx, t.conn, b, func(res pgx.BatchResults) error {
		for i := range b.Len() {
			tag, err := res.Exec()
			if err != nil {
				return err
			}
			if i == b.Len()-3 {
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

// queueRows queues what became of the rows that were folded.
func (g group) queueRows(b *pgx.Batch) {
	var (
		over              endings
		versions, changed [][]byte
	)
	for _, f := range g.folds {
		if f.folded == 0 {
			continue
		}
		if g.history != nil {
			f.endings(&over)
			versions = f.newVersions(versions)
		}
		changed = f.changed(changed)
	}
	if len(over.keys) > 0 {
		b.Queue(g.sql.end, over.keys, over.suffixes, over.versions, over.valid, over.recordedTo)
	}
	if len(versions) > 0 {
		b.Queue(g.sql.insert, g.history.appendArray(nil, versions))
	}
	if len(changed) > 0 {
		b.Queue(g.sql.upsert, g.live.appendArray(nil, changed))
	}
}
