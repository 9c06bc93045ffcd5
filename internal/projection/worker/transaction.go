package worker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
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
	after     uint64 // where a live batch begins
	folds     []*fold
	// from is where the checkpoints of the builds that are fed stand, by build: rows are folded from there on. What turns out
	// to stand elsewhere is an error, but for builds behind a live batch, which are left out of it.
	from map[int64]uint64
	live bool
}

func (s *share) last() es.Record { return s.records[len(s.records)-1] }

// transaction is batches of one or several partitions in Postgres.
type transaction struct {
	w      *Worker
	conn   *pgxpool.Conn
	shares []*share // by partition
	ended  bool     // committed with the checkpoints, for there was nothing else to write
}

// opening begins a transaction.
func opening() *pgx.Batch {
	b := &pgx.Batch{}
	b.Queue("begin")
	b.Queue(settings)
	return b
}

// lock gives where the builds' checkpoints stand in a partition, and keeps everybody from moving them.
func (t *transaction) lock(ctx context.Context, builds []int64, partition int) (at map[int64]uint64, err error) {
	b := opening()
	opened := b.Len()
	b.Queue(`select build, position from daybook.projection_checkpoint where part = $1 and build = any($2) order by build for update`, partition, builds)
	err = send(ctx, t.conn, b, func(res pgx.BatchResults) error {
		for range opened {
			if _, err := res.Exec(); err != nil {
				return err
			}
		}
		at, err = scanPositions(res.Query())
		return err
	})
	return at, err
}

// advance moves the checkpoints, which locks them, and loads the rows, in one round trip with what the batch holds already. What
// touches no row is committed at once.
func (t *transaction) advance(ctx context.Context, b *pgx.Batch) error {
	before, groups := b.Len(), t.groups()
	t.queueMoves(b)
	if mutant.On(mutant.CheckpointApart) {
		b.Queue("commit")
		b.Queue("begin")
	}
	apart := b.Len() - before - 1
	queueLoads(b, groups)
	if t.ended = len(groups) == 0; t.ended {
		failpoint.Hit(failpoint.ProjectorBefore)
		t.queueEnd(b)
	}
	var moved map[int]map[int64]bool
	err := send(ctx, t.conn, b, func(res pgx.BatchResults) (err error) {
		for range before {
			if _, err := res.Exec(); err != nil {
				return err
			}
		}
		if moved, err = scanMoves(res); err != nil {
			return err
		}
		for range apart {
			if _, err := res.Exec(); err != nil {
				return err
			}
		}
		return scanLoads(res, groups)
	})
	if err != nil {
		return err
	}
	if t.ended {
		failpoint.Hit(failpoint.ProjectorAfter)
	}
	for _, s := range t.shares {
		wanted := len(s.from)
		maps.DeleteFunc(s.from, func(build int64, _ uint64) bool { return !moved[s.partition][build] })
		if len(s.from) < wanted {
			if err := t.miss(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// miss is called if checkpoints were not where they should be. A live batch leaves builds out that are behind, if another
// one is where it begins.
func (t *transaction) miss(ctx context.Context, s *share) error {
	if !s.live {
		return fmt.Errorf("a build was moved meanwhile: %w", feed.ErrFenced)
	}
	at, err := t.w.positions(ctx, t.conn, s.partition)
	if err != nil {
		return err
	}
	lead := uint64(0)
	for build, a := range at {
		if _, fed := s.from[build]; !fed {
			lead = max(lead, a)
		}
	}
	if len(s.from) == 0 || lead > s.after {
		return fmt.Errorf("batch after %d, checkpoint %d: %w", s.after, lead, feed.ErrFenced)
	}
	return nil
}

// queueMoves moves the checkpoints of all shares' builds from where they are said to stand, in an order that all transactions
// share: with nothing but nested loops allowed, that of the arrays.
func (t *transaction) queueMoves(b *pgx.Batch) {
	var (
		parts         []int
		ids, from, to []int64
		recorded      []time.Time
	)
	for _, s := range t.shares {
		last := s.last()
		for _, id := range slices.Sorted(maps.Keys(s.from)) {
			parts, ids, from = append(parts, s.partition), append(ids, id), append(from, int64(s.from[id])) //nolint:gosec // positions stay below 2^63
			to, recorded = append(to, int64(last.Position)), append(recorded, last.Created)                 //nolint:gosec // likewise
		}
	}
	b.Queue(`update daybook.projection_checkpoint c set position = moved.upto, recorded_at = greatest(recorded_at, moved.recorded)
		from unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[]) moved(part, build, was, upto, recorded)
		where c.part = moved.part and c.build = moved.build and c.position = moved.was returning c.part, c.build`, parts, ids, from, to, recorded)
}

// scanMoves tells which checkpoints were moved, by partition and build.
func scanMoves(res pgx.BatchResults) (map[int]map[int64]bool, error) {
	rows, err := res.Query()
	if err != nil {
		return nil, err
	}
	var (
		part  int
		build int64
		moved = map[int]map[int64]bool{}
	)
	_, err = pgx.ForEachRow(rows, []any{&part, &build}, func() error {
		if moved[part] == nil {
			moved[part] = map[int64]bool{}
		}
		moved[part][build] = true
		return nil
	})
	return moved, err
}

// queueEnd tells those who wait, and commits.
func (t *transaction) queueEnd(b *pgx.Batch) {
	partitions := make([]int, len(t.shares))
	for i, s := range t.shares {
		partitions[i] = s.partition
	}
	b.Queue(`select pg_notify($1, $2)`, relay.Moved, relay.RowsMoved(partitions))
	b.Queue("commit")
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

// post folds each share's records into the builds whose checkpoints were moved, each from where it stood, writes every row
// and version, and commits.
func (t *transaction) post(ctx context.Context) error {
	if t.ended {
		return nil
	}
	events, rows := 0, 0
	for _, s := range t.shares {
		for _, f := range s.folds {
			at, fed := s.from[f.build.id]
			if !fed {
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
	b := &pgx.Batch{}
	for _, g := range t.groups() {
		g.queueRows(b)
	}
	t.queueEnd(b)
	if err := send(ctx, t.conn, b, func(pgx.BatchResults) error { return nil }); err != nil {
		return err
	}
	failpoint.Hit(failpoint.ProjectorAfter)
	t.w.metrics.events.Add(float64(events))
	t.w.metrics.rows.Add(float64(rows))
	return nil
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
