package doctor

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// folder folds some of the partitions into every build.
type folder struct {
	catalog *es.Catalog
	builds  []*build
	sums    sums
	spare   []uint64 // room for sums, cut off piece by piece
	found   *doctor.Report
	records chan []placed
}

type placed struct {
	record    es.Record
	partition int
}

const (
	handedOn = 256 // records handed on at once
	waitMost = 16  // times that may wait
	sumsMore = 8192
)

// foldAll folds the log into every build at once, each partition as far as the build's checkpoint there. No row
// belongs to two partitions, so they are folded beside one another.
func foldAll(ctx context.Context, cfg Config, types *pgtype.Map, builds []*build, r *doctor.Report) error {
	var upto uint64
	for _, b := range builds {
		upto = max(upto, slices.Max(b.at))
	}
	if upto == 0 {
		return nil
	}
	folders := make([]*folder, min(runtime.GOMAXPROCS(0), cfg.Partitions))
	group, ctx := errgroup.WithContext(ctx)
	for i := range folders {
		f := &folder{catalog: cfg.Catalog, builds: builds, sums: sums{types: types.Copy()}, found: doctor.NewReport(), records: make(chan []placed, waitMost)}
		folders[i] = f
		group.Go(func() error { f.run(); return nil })
	}
	seen := make([]uint64, cfg.Partitions)
	group.Go(func() error { return deal(ctx, cfg, folders, upto, seen) })
	if err := group.Wait(); err != nil {
		return err
	}
	found := doctor.NewReport()
	for _, f := range folders {
		found.Merge(f.found)
	}
	slices.SortStableFunc(found.Findings, func(a, b doctor.Finding) int { return cmp.Compare(a.Position, b.Position) })
	r.Merge(found)
	for _, b := range builds {
		for p, checkpoint := range b.at {
			if checkpoint > seen[p] {
				r.Find(doctor.Finding{Invariant: "I3", Row: b.table(""), Problem: fmt.Sprintf("the checkpoint of partition %d is beyond the log", p)}.Values(seen[p], checkpoint))
			}
		}
	}
	return nil
}

// deal reads the log and hands every record to the folder of its partition. seen is the last position of each.
func deal(ctx context.Context, cfg Config, folders []*folder, upto uint64, seen []uint64) error {
	hands := make([][]placed, len(folders))
	pass := func(i int) error {
		select {
		case folders[i].records <- hands[i]:
			hands[i] = nil
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() {
		for _, f := range folders {
			close(f.records)
		}
	}()
	for rec, err := range cfg.Log.ReadAll(ctx, 0) {
		if err != nil {
			return fmt.Errorf("reading the log for its folds: %w", err)
		}
		if rec.Position > upto {
			break
		}
		if !rec.Relayed() {
			continue
		}
		p := topic.PartitionOf(rec.Stream.Partition(), cfg.Partitions)
		seen[p] = rec.Position
		i := p % len(folders)
		if hands[i] = append(hands[i], placed{rec, p}); len(hands[i]) >= handedOn {
			if err := pass(i); err != nil {
				return err
			}
		}
	}
	for i := range hands {
		if err := pass(i); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) run() {
	for records := range f.records {
		for _, r := range records {
			if err := f.one(r.record, r.partition); err != nil {
				f.found.Find(at("I3", r.record, "it cannot be folded: %v", err))
			}
		}
	}
}

func (f *folder) one(rec es.Record, p int) error {
	var (
		e      es.Recorded
		opened bool
	)
	for _, b := range f.builds {
		if !b.types[rec.Type] || rec.Position > b.at[p] {
			continue
		}
		if !opened {
			var err error
			if e, err = f.catalog.Open(rec); err != nil {
				return err
			}
			opened = true
		}
		if err := f.fold(b, e, &b.parts[p]); err != nil {
			return fmt.Errorf("%s: %w", b.plan.Name, err)
		}
	}
	return nil
}

func (f *folder) fold(b *build, e es.Recorded, p *part) error {
	keys, err := p.batch.Touch(e)
	if err != nil {
		return err
	}
	for _, k := range keys {
		row := p.rows[k]
		if row == nil {
			row = &expected{stamp: projection.NoStamp()}
			p.rows[k] = row
		}
		if err := f.row(b, e, p.batch, k, row); err != nil {
			return err
		}
	}
	return nil
}

// row folds an event into one row. An event of another stream than the table's makes no version of a row that it leaves as it was.
func (f *folder) row(b *build, e es.Recorded, batch plan.Batch, k plan.Key, row *expected) (err error) {
	compared := row.stamp.Version >= 0 && e.Stream.Category != b.plan.Stream
	var before, after []uint64
	if n := len(row.versions); n > 0 {
		before = row.versions[n-1].sums
	} else if compared {
		if before, err = f.columns(b, batch.Fields(k)); err != nil {
			return err
		}
	}
	if err = batch.Apply(k, e); err != nil {
		return err
	}
	if compared || b.plan.HasVersions() {
		if after, err = f.columns(b, batch.Fields(k)); err != nil {
			return err
		}
	}
	if compared && slices.Equal(before, after) {
		return nil
	}
	row.stamp = row.stamp.Next(e, b.plan.Stream)
	if b.plan.HasVersions() {
		row.versions = append(row.versions, version{row.stamp, after})
	}
	return nil
}

// columns are the sums of a row as it is now.
func (f *folder) columns(b *build, fields []any) ([]uint64, error) {
	n := len(b.columns)
	if len(f.spare) < n {
		f.spare = make([]uint64, max(sumsMore, n))
	}
	var of []uint64
	of, f.spare = f.spare[:n:n], f.spare[n:]
	for i, c := range b.columns {
		var err error
		if of[i], err = f.sums.of(c, deref(fields[i])); err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return of, nil
}
