package doctor

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/internal/operation"
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
// belongs to two partitions, so they are folded beside one another. Where events fail it begins anew without them, for they leave rows half folded.
func foldAll(ctx context.Context, cfg Config, types *pgtype.Map, builds []*build, r *doctor.Report) error {
	var upto uint64
	for _, b := range builds {
		upto = max(upto, slices.Max(b.at))
	}
	if upto == 0 {
		return nil
	}
	seen := make([]uint64, cfg.Partitions)
	for again := true; again; {
		if err := foldOnce(ctx, cfg, types, builds, upto, seen); err != nil {
			return err
		}
		again = anew(builds)
	}
	failures(builds, r)
	for _, b := range builds {
		for p, checkpoint := range b.at {
			if checkpoint > seen[p] {
				r.Find(doctor.Finding{Invariant: "I3", Row: b.table(""), Problem: fmt.Sprintf("the checkpoint of partition %d is beyond the log", p)}.Values(seen[p], checkpoint))
			}
		}
	}
	return nil
}

func foldOnce(ctx context.Context, cfg Config, types *pgtype.Map, builds []*build, upto uint64, seen []uint64) error {
	folders := make([]*folder, min(runtime.GOMAXPROCS(0), cfg.Partitions))
	group, ctx := errgroup.WithContext(ctx)
	for i := range folders {
		f := &folder{catalog: cfg.Catalog, builds: builds, sums: sums{types: types.Copy()}, records: make(chan []placed, waitMost)}
		folders[i] = f
		group.Go(func() error { f.run(); return nil })
	}
	group.Go(func() error { return deal(ctx, cfg, folders, upto, seen) })
	return group.Wait()
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
			f.one(r.record, r.partition)
		}
	}
}

func (f *folder) one(rec es.Record, p int) {
	operated := rec.Stream.Category == operation.Category
	var (
		e      es.Recorded
		err    error
		opened bool
	)
	for _, b := range f.builds {
		if !b.types[rec.Type] && !operated || rec.Position > b.at[p] {
			continue
		}
		if !opened {
			e, err = f.catalog.Open(rec)
			opened = true
		}
		part := &b.parts[p]
		switch whole := wholeOf(rec); {
		case operated && err == nil:
			part.operated(b, e)
		case operated, part.out[spot{whole, rec.Position}]:
		case err != nil:
			part.fail(whole, rec, err)
		default:
			f.fold(b, rec, e, part)
		}
	}
}

func (f *folder) fold(b *build, rec es.Record, e es.Recorded, p *part) {
	keys, err := p.batch.Touch(e)
	if err != nil {
		p.fail(wholeOf(rec), rec, err)
		return
	}
	for _, k := range keys {
		u := unit{k, false}
		if p.out[spot{u, rec.Position}] {
			continue
		}
		row := p.rows[k]
		if row == nil {
			row = &expected{stamp: projection.NoStamp()}
			p.rows[k] = row
		}
		if err := f.row(b, e, p.batch, k, row); err != nil {
			p.fail(u, rec, err)
		}
	}
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
