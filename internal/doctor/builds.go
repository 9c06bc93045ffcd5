package doctor

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// build is a live build with what its rows must be.
type build struct {
	plan    plan.Plan
	schema  string
	at      []uint64 // checkpoints, by partition
	types   map[string]bool
	columns []column // of the plan, with their types in Postgres
	wide    []int    // of a table with versions: the columns that one version keeps for others
	parts   []part   // by partition
}

// part is what the log makes of a build in one partition. One goroutine at a time changes it.
type part struct {
	batch plan.Batch
	rows  map[plan.Key]*expected

	out    map[spot]bool     // not folded
	failed map[spot]*failure // here
	unsure map[unit]bool     // rows of which it is not known what was folded
	apart  bool              // nothing of it is compared
}

// expected is a row as it must be, and what was found of it.
type expected struct {
	stamp      projection.Stamp
	versions   []version // with a history
	live, past int       // how often it was found
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

func liveBuilds(ctx context.Context, tx pgx.Tx, cfg Config, r *doctor.Report) ([]*build, error) {
	plans, err := plan.Compile(cfg.Projections...)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `select p.projection, b.version, b.schema_name, array_agg(c.position order by c.part)
		from daybook.projection_pointer p join daybook.projection_build b on b.id = p.build
		join daybook.projection_progress c on c.build = b.id group by 1, 2, 3 order by 1`)
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
		i := slices.IndexFunc(plans, func(p plan.Plan) bool { return p.Name == name && p.Version == number })
		if i < 0 {
			r.Skipf("read model %s: version %d serves, which this program does not have", name, number)
			return nil
		}
		b := &build{plan: plans[i], schema: schema, types: map[string]bool{}}
		for p, n := range at {
			b.at = append(b.at, uint64(n)) //nolint:gosec // checkpoints are not negative
			b.parts = append(b.parts, part{
				batch: b.plan.Begin(p), rows: map[plan.Key]*expected{}, out: map[spot]bool{}, failed: map[spot]*failure{}, unsure: map[unit]bool{},
			})
		}
		for _, t := range b.plan.Types {
			b.types[t] = true
		}
		b.wide = b.plan.WideInHistory()
		if len(at) != cfg.Partitions {
			r.Find(doctor.Finding{Invariant: "I3", Row: schema, Problem: "the build's partitions"}.Values(cfg.Partitions, len(at)))
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
			r.Skipf("read model %s: no build serves", p.Name)
		}
	}
	for _, b := range builds {
		if b.columns, err = columnsOf(ctx, tx, b); err != nil {
			return nil, err
		}
		if err := b.parkedIn(ctx, tx, r); err != nil {
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

// row is what a row must be, nil if it should not be there, and its partition.
func (b *build) row(k plan.Key) (*expected, *part) {
	n := 0
	if b.plan.Shared {
		_, _ = fmt.Sscan(k.Key, &n) // another text is no partition, and the row is not expected
	} else {
		n = topic.PartitionOf(es.StreamID{Category: "any", Key: k.Key}.Partition(), len(b.at))
	}
	if n < 0 || n >= len(b.parts) {
		return nil, nil
	}
	return b.parts[n].rows[k], &b.parts[n]
}
