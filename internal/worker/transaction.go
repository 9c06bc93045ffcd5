package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// share is one partition's part in a transaction.
type share struct {
	partition int
	records   []es.Record
	after     uint64 // where they begin
	group     group  // as it was when the transaction began
	leaving   []*build
	folds     []*fold
	hold      *hold // of a build by itself; nil: nothing is parked
}

func (s *share) last() es.Record { return s.records[len(s.records)-1] }

// transaction is batches of one or several partitions in Postgres.
type transaction struct {
	w      *Worker
	conn   *pgxpool.Conn
	shares []*share // by partition
	limits limits   // of the builds' own statements
	// careful makes Postgres check after each build's rows what it would check at the commit, to tell whose they are.
	careful bool
	// watched makes Postgres say what each build's statements take: the results of a round trip come together.
	watched bool
	whole   bool // what touches no row is not ended with the checkpoints
	ended   bool // committed with the checkpoints, for there was nothing else to write
	spent   map[*build]time.Duration
}

// errMoved says that a checkpoint, or its group, was not what it was taken for.
var errMoved = errors.New("moved meanwhile")

// advance sends a batch that begins a transaction and moves checkpoints, and loads the rows, in one round trip. taken takes
// the results of what the batch held. What touches no row is committed at once.
func (t *transaction) advance(ctx context.Context, b *pgx.Batch, taken func(pgx.BatchResults) error) error {
	tables := t.tables()
	t.spent = map[*build]time.Duration{}
	for _, tab := range tables {
		if err := tab.prepare(ctx, t.conn.Conn()); err != nil {
			return blame(t.conn.Conn(), tab.build, fmt.Errorf("preparing for %s: %w", tab.live.name, err))
		}
	}
	t.limits.queue(b)
	if t.careful {
		b.Queue(checked)
	}
	t.queueClock(b)
	for _, tab := range tables {
		tab.queueLoad(b)
		t.queueClock(b)
	}
	if t.ended = len(tables) == 0 && !t.whole; t.ended {
		failpoint.Hit(failpoint.ProjectorBefore)
		t.queueEnd(b)
	}
	err := send(ctx, t.conn, b, func(res pgx.BatchResults) error {
		err := taken(res)
		if err == nil {
			_, err = res.Exec()
		}
		if err == nil && t.careful {
			_, err = res.Exec()
		}
		if err != nil {
			return err
		}
		at, err := t.readClock(res)
		for _, tab := range tables {
			if err == nil {
				err = tab.scanLoad(res)
			}
			if err == nil {
				at, err = t.spend(tab.build, at, res)
			}
			if err != nil {
				return blame(t.conn.Conn(), tab.build, fmt.Errorf("loading %s: %w", tab.live.name, err))
			}
		}
		return err
	})
	if err == nil && t.ended {
		failpoint.Hit(failpoint.ProjectorAfter)
	}
	return err
}

const checked = "set constraints all immediate"

func (t *transaction) queueClock(b *pgx.Batch) {
	if t.watched {
		b.Queue("select clock_timestamp()")
	}
}

func (t *transaction) readClock(res pgx.BatchResults) (at time.Time, err error) {
	if t.watched {
		err = res.QueryRow().Scan(&at)
	}
	return at, err
}

// spend counts the time since the clock was last read as a build's.
func (t *transaction) spend(b *build, since time.Time, res pgx.BatchResults) (now time.Time, err error) {
	now, err = t.readClock(res)
	t.spent[b] += now.Sub(since)
	return now, err
}

// post folds each share's records, writes every row and version, and commits. Further statements may come with it.
func (t *transaction) post(ctx context.Context, further ...func(*pgx.Batch)) error {
	if t.ended {
		return nil
	}
	events, rows := 0, 0
	for _, s := range t.shares {
		for _, f := range s.folds {
			if err := f.apply(t.conn.Conn().TypeMap(), s.after); err != nil {
				return &trouble{[]*build{f.build}, s.partition, err}
			}
			if f.folded > 0 {
				events, rows = events+f.folded, rows+f.changed()
			}
		}
	}
	failpoint.Hit(failpoint.ProjectorBefore)
	b, tables := &pgx.Batch{}, t.tables()
	t.queueClock(b)
	statements := make([]int, len(tables))
	for i, tab := range tables {
		before := b.Len()
		tab.queueRows(b)
		if t.careful {
			b.Queue(checked)
		}
		statements[i] = b.Len() - before
		t.queueClock(b)
	}
	for _, queue := range further {
		queue(b)
	}
	t.queueEnd(b)
	err := send(ctx, t.conn, b, func(res pgx.BatchResults) error {
		at, err := t.readClock(res)
		for i, tab := range tables {
			if err == nil {
				err = exec(res, statements[i])
			}
			if err == nil {
				at, err = t.spend(tab.build, at, res)
			}
			if err != nil {
				return blame(t.conn.Conn(), tab.build, fmt.Errorf("writing %s: %w", tab.live.name, err))
			}
		}
		return err
	})
	switch {
	case err == nil:
	case !isTrouble(err) && code(err) != "" && !postgres.Unreachable(err):
		return &unclear{err}
	default:
		return err
	}
	failpoint.Hit(failpoint.ProjectorAfter)
	t.w.metrics.events.Add(float64(events))
	t.w.metrics.rows.Add(float64(rows))
	return nil
}

// dear is the build whose statements took most of a transaction that was watched and long; nil if none did.
func (t *transaction) dear() *build {
	var all time.Duration
	var most *build
	for b, d := range t.spent {
		all += d
		if most == nil || d > t.spent[most] {
			most = b
		}
	}
	if most == nil || t.spent[most] < t.w.tolerance.slow || 2*t.spent[most] < all {
		return nil
	}
	return most
}

// queueEnd tells those who wait, and commits.
func (t *transaction) queueEnd(b *pgx.Batch) {
	partitions := make([]int, len(t.shares))
	for i, s := range t.shares {
		partitions[i] = s.partition
	}
	b.Queue(`select pg_notify($1, $2)`, topic.Moved, topic.RowsMoved(partitions))
	b.Queue("commit")
}

// table is one build's folds, of several partitions: one statement serves all, because no two have a row in common.
type table struct {
	*build

	folds []*fold
}

// tables are the builds that have rows in the transaction, in an order that all transactions share.
func (t *transaction) tables() (tables []table) {
	for _, s := range t.shares {
		for _, f := range s.folds {
			i := slices.IndexFunc(tables, func(tab table) bool { return tab.build == f.build })
			if i < 0 {
				i, tables = len(tables), append(tables, table{build: f.build})
			}
			tables[i].folds = append(tables[i].folds, f)
		}
	}
	slices.SortFunc(tables, func(a, b table) int { return cmp.Compare(a.id, b.id) })
	return tables
}

func send(ctx context.Context, conn *pgxpool.Conn, b *pgx.Batch, take func(pgx.BatchResults) error) error {
	res := conn.SendBatch(ctx, b)
	err := take(res)
	if closing := res.Close(); err == nil {
		err = closing
	}
	return err
}

func exec(res pgx.BatchResults, n int) error {
	for range n {
		if _, err := res.Exec(); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the build's statements known to the connection, so that an error of that, and what it waits for, is the build's.
func (tab table) prepare(ctx context.Context, conn *pgx.Conn) error {
	if unprepared(conn.Config()) {
		return nil
	}
	for _, s := range tab.sql.all() {
		if _, err := conn.Prepare(ctx, s, s); err != nil {
			return err
		}
	}
	return nil
}

// unprepared tells whether connections go through PgBouncer, which does not keep what is prepared.
func unprepared(cfg *pgx.ConnConfig) bool { return cfg.DefaultQueryExecMode == pgx.QueryExecModeExec }

// queueLoad queues the look-up of the rows. Those that are made once are not there yet.
func (tab table) queueLoad(b *pgx.Batch) {
	if tab.sql.load == "" {
		return
	}
	var keys, suffixes []string
	for _, f := range tab.folds {
		keys, suffixes = f.keys(keys, suffixes)
	}
	b.Queue(tab.sql.load, keys, suffixes)
}

// scanLoad takes over the rows that are there.
func (tab table) scanLoad(res pgx.BatchResults) error {
	if tab.sql.load == "" {
		return nil
	}
	rows, err := res.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		raw := rows.RawValues()
		key := plan.Key{Key: string(raw[0]), Suffix: string(raw[1])}
		i := slices.IndexFunc(tab.folds, func(f *fold) bool { return f.rows[key] != nil })
		if i < 0 {
			return fmt.Errorf("row %s was not asked for", key)
		}
		if err := tab.folds[i].scan(key, rows); err != nil {
			return fmt.Errorf("row %s: %w", key, err)
		}
	}
	return rows.Err()
}

// queueRows queues what became of the rows that were folded.
func (tab table) queueRows(b *pgx.Batch) {
	var (
		over              endings
		versions, changed [][]byte
	)
	for _, f := range tab.folds {
		if f.folded == 0 {
			continue
		}
		if tab.history != nil {
			f.endings(&over)
			versions = f.newVersions(versions)
		}
		changed = f.live(changed)
	}
	if len(over.keys) > 0 {
		b.Queue(tab.sql.end, over.keys, over.suffixes, over.versions, over.valid, over.recordedTo)
	}
	if len(versions) > 0 {
		b.Queue(tab.sql.insert, tab.history.appendArray(nil, versions))
	}
	if len(changed) > 0 {
		b.Queue(tab.sql.upsert, tab.live.appendArray(nil, changed))
	}
}
