package doctor

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/projection"
	"github.com/daybook-dev/daybook/internal/relay"
)

// checkRows is I3: every live build's rows and versions against the fold of the log, each partition as far as its
// checkpoint, all in one snapshot.
func checkRows(ctx context.Context, cfg Config, h *history, r *Report) error {
	if cfg.Pool == nil {
		return nil // said already
	}
	conn, err := cfg.Pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("reading the read models: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	builds, err := liveBuilds(ctx, tx, cfg, r)
	if err != nil {
		return fmt.Errorf("reading the read models: %w", err)
	}
	if len(builds) == 0 {
		return nil
	}
	if err := foldAll(ctx, cfg, conn, builds, r); err != nil {
		return err
	}
	for _, b := range builds {
		if err := b.compare(ctx, tx, r); err != nil {
			return fmt.Errorf("comparing the read model %s: %w", b.plan.Name, err)
		}
	}
	h.checkLevels(builds)
	return nil
}

// build is a live build with what its rows must be.
type build struct {
	plan     projection.Plan
	schema   string
	at       []uint64 // checkpoints, by partition
	types    map[string]bool
	columns  []column // of the plan, with their types in Postgres
	batches  []projection.Batch
	rows     map[projection.Key]projection.Stamp
	versions map[projection.Key][]version
	json     map[uint64]uint64 // sums of what was canonical, by the sum of how it was written
}

type column struct {
	name string
	oid  uint32
}

// version is one row as an event left it: a sum of each column.
type version struct {
	stamp projection.Stamp
	sums  []uint64
}

func liveBuilds(ctx context.Context, tx pgx.Tx, cfg Config, r *Report) ([]*build, error) {
	plans, err := projection.Compile(cfg.Projections...)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `select p.projection, b.version, b.schema_name, array_agg(c.position order by c.part)
		from daybook.projection_pointer p join daybook.projection_build b on b.id = p.build
		join daybook.projection_checkpoint c on c.build = b.id group by 1, 2, 3 order by 1`)
	if err != nil {
		return nil, err
	}
	var (
		builds  []*build
		name    string
		number  int
		schema  string
		at      []int64
		serving = map[string]bool{}
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &number, &schema, &at}, func() error {
		serving[name] = true
		i := slices.IndexFunc(plans, func(p projection.Plan) bool { return p.Name == name && p.Version == number })
		if i < 0 {
			r.skipf("read model %s: version %d serves, which this program does not have", name, number)
			return nil
		}
		b := &build{plan: plans[i], schema: schema, types: map[string]bool{}, rows: map[projection.Key]projection.Stamp{}, versions: map[projection.Key][]version{}}
		for p, n := range at {
			b.at = append(b.at, uint64(n)) //nolint:gosec // checkpoints are not negative
			b.batches = append(b.batches, b.plan.Begin(p))
		}
		for _, t := range b.plan.Types {
			b.types[t] = true
		}
		if len(at) != cfg.Partitions {
			r.find(Finding{Invariant: "I3", Row: schema, Problem: "the build's partitions"}.values(cfg.Partitions, len(at)))
			return nil
		}
		builds = append(builds, b)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, p := range plans {
		if !serving[p.Name] {
			r.skipf("read model %s: no build serves", p.Name)
		}
	}
	for _, b := range builds {
		if b.columns, err = columnsOf(ctx, tx, b); err != nil {
			return nil, err
		}
	}
	return builds, nil
}

func columnsOf(ctx context.Context, tx pgx.Tx, b *build) ([]column, error) {
	rows, err := tx.Query(ctx, `select attname, atttypid from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped`, b.table(""))
	if err != nil {
		return nil, err
	}
	have := map[string]uint32{}
	var c column
	if _, err := pgx.ForEachRow(rows, []any{&c.name, &c.oid}, func() error { have[c.name] = c.oid; return nil }); err != nil {
		return nil, err
	}
	var columns []column
	for _, p := range b.plan.Columns {
		oid, ok := have[p.Name]
		if !ok {
			return nil, fmt.Errorf("table %s has no column %s", b.table(""), p.Name)
		}
		columns = append(columns, column{p.Name, oid})
	}
	return columns, nil
}

func (b *build) table(suffix string) string {
	return pgx.Identifier{b.schema, b.plan.Name + suffix}.Sanitize()
}

// partition is where a row's events come through.
func (b *build) partition(k projection.Key) int {
	if b.plan.Shared {
		var n int
		_, _ = fmt.Sscan(k.Key, &n) // another text is no partition, and the row is not expected
		return n
	}
	return relay.PartitionOf(es.StreamID{Category: "any", Key: k.Key}.Partition(), len(b.at))
}

// foldAll folds the log into every build at once.
func foldAll(ctx context.Context, cfg Config, conn *pgxpool.Conn, builds []*build, r *Report) error {
	var upto uint64
	for _, b := range builds {
		upto = max(upto, slices.Max(b.at))
	}
	if upto == 0 {
		return nil
	}
	seen := make([]uint64, cfg.Partitions)
	for rec, err := range cfg.Log.ReadAll(ctx, 0) {
		if err != nil {
			return fmt.Errorf("reading the log for its folds: %w", err)
		}
		if rec.Position > upto {
			break
		}
		p := relay.PartitionOf(rec.Stream.Partition(), cfg.Partitions)
		seen[p] = rec.Position
		if err := foldOne(cfg, conn, builds, rec, p); err != nil {
			r.find(at("I3", rec, "it cannot be folded: %v", err))
		}
	}
	for _, b := range builds {
		for p, checkpoint := range b.at {
			if checkpoint > seen[p] {
				r.find(Finding{Invariant: "I3", Row: b.table(""), Problem: fmt.Sprintf("the checkpoint of partition %d is beyond the log", p)}.values(seen[p], checkpoint))
			}
		}
	}
	return nil
}

func foldOne(cfg Config, conn *pgxpool.Conn, builds []*build, rec es.Record, p int) error {
	var (
		e      es.Recorded
		opened bool
	)
	for _, b := range builds {
		if !b.types[rec.Type] || rec.Position > b.at[p] {
			continue
		}
		if !opened {
			var err error
			if e, err = cfg.Catalog.Open(rec); err != nil {
				return err
			}
			opened = true
		}
		if err := b.fold(conn, e, p); err != nil {
			return fmt.Errorf("%s: %w", b.plan.Name, err)
		}
	}
	return nil
}

func (b *build) fold(conn *pgxpool.Conn, e es.Recorded, p int) error {
	keys, err := b.batches[p].Touch(e)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := b.batches[p].Apply(k, e); err != nil {
			return err
		}
		before, ok := b.rows[k]
		if !ok {
			before = projection.NoStamp()
		}
		b.rows[k] = before.Next(e, b.plan.Stream)
		if !b.plan.History {
			continue
		}
		sums, err := b.sums(conn.Conn().TypeMap(), k)
		if err != nil {
			return err
		}
		b.versions[k] = append(b.versions[k], version{b.rows[k], sums})
	}
	return nil
}

// compare reads both tables.
func (b *build) compare(ctx context.Context, tx pgx.Tx, r *Report) error {
	live := reading{build: b, table: b.table(""), report: r, types: tx.Conn().TypeMap(), seen: map[projection.Key]int{}}
	if err := live.read(ctx, tx, false); err != nil {
		return err
	}
	for k, s := range b.rows {
		if live.seen[k] == 0 {
			live.find(k, s.Version, "the row is missing", fmt.Sprintf("version %d, last changed at position %d", s.Version, s.Position), "none")
		}
	}
	r.Checked["rows"] += live.count
	if !b.plan.History {
		return nil
	}
	past := reading{build: b, table: b.table("_history"), report: r, types: tx.Conn().TypeMap(), seen: map[projection.Key]int{}}
	if err := past.read(ctx, tx, true); err != nil {
		return err
	}
	for k, versions := range b.versions {
		if past.seen[k] < len(versions) {
			past.find(k, -1, "versions are missing", len(versions), past.seen[k])
		}
	}
	r.Checked["row versions"] += past.count
	return nil
}

// checkLevels holds the stock read model to the doctor's own count, where both have come as far.
func (h *history) checkLevels(builds []*build) {
	for _, b := range builds {
		if b.plan.Name != "stock_levels" {
			continue
		}
		onHand := slices.IndexFunc(b.plan.Columns, func(c projection.Column) bool { return c.Name == "on_hand" })
		reserved := slices.IndexFunc(b.plan.Columns, func(c projection.Column) bool { return c.Name == "reserved" })
		for k, stamp := range b.rows {
			s := h.shelves[k.Key]
			if s == nil || onHand < 0 || reserved < 0 || uint64(stamp.Revision) != s.revision { //nolint:gosec // a revision
				continue
			}
			fields := b.batches[b.partition(k)].Fields(k)
			have, want := fmt.Sprintf("%v and %v", deref(fields[onHand]), deref(fields[reserved])), fmt.Sprintf("%d and %d", s.onHand, s.reserved)
			if have != want {
				h.out.find(Finding{Invariant: "I5", Stream: es.StreamID{Category: "stock", Key: k.Key}.String(), Row: b.table("") + " " + k.String(),
					Problem: "on hand and reserved"}.values(want, have))
			}
		}
	}
}
