package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// unit is what waits together: a row, or everything of an event's key.
type unit struct {
	plan.Key

	whole bool
}

func wholeOf(e es.Record) unit { return unit{plan.Key{Key: e.Stream.Partition()}, true} }

// spot is an event that is not folded into a unit.
type spot struct {
	unit

	position uint64
}

// failure is an event that cannot be folded into a unit.
type failure struct {
	record  es.Record
	err     error
	excused bool // an operator has skipped it
}

// parkedIn reads what is parked in a build: a row is compared as what is folded of it makes it.
func (b *build) parkedIn(ctx context.Context, tx pgx.Tx, r *doctor.Report) error {
	rows, err := tx.Query(ctx, `select p.part, p.key, p.suffix, p.whole, p.position from daybook.projection_parked p
		join daybook.projection_build b on b.id = p.build where b.schema_name = $1`, b.schema)
	if err != nil {
		return err
	}
	var (
		p int
		s spot
	)
	units := map[unit]bool{}
	_, err = pgx.ForEachRow(rows, []any{&p, &s.Key.Key, &s.Suffix, &s.whole, &s.position}, func() error {
		if p < len(b.parts) {
			b.parts[p].out[s] = true
		}
		units[s.unit] = true
		return nil
	})
	if len(units) > 0 {
		r.Checked["parked rows"] += len(units)
	}
	return err
}

// fail notes that an event cannot be folded into a unit.
func (p *part) fail(u unit, rec es.Record, err error) {
	s := spot{u, rec.Position}
	if p.failed[s] == nil {
		p.failed[s] = &failure{record: rec, err: err}
	}
}

// operated takes note of what an operator did about a part: what failed and was skipped is well. Where an event is skipped that does not fail
// here, Postgres has refused it, or the build's code is newer than that: such rows are not compared, nor are totals folded in another order.
func (p *part) operated(b *build, e es.Recorded) {
	var row operation.Row
	var skipped uint64
	switch what := e.Event.(type) {
	case operation.RowRetried:
		row = what.Row
	case operation.RowSkipped:
		row, skipped = what.Row, what.Position
	}
	if row.Projection != b.plan.Name {
		return
	}
	if b.plan.Shared {
		p.apart = true
	}
	if skipped == 0 {
		return
	}
	s := spot{unit{plan.Key{Key: row.Key, Suffix: row.Suffix}, row.Whole}, skipped}
	switch failed := p.failed[s]; {
	case failed != nil:
		failed.excused = true
	case !p.out[s]:
		p.unsure[s.unit] = true
	}
}

// compared tells whether it is known what a row must be.
func (p *part) compared(k plan.Key) bool {
	return !p.apart && !p.unsure[unit{k, false}] && !p.unsure[unit{plan.Key{Key: es.StreamID{Category: "any", Key: k.Key}.Partition()}, true}]
}

// anew begins every part again without what has failed so far. False says that nothing has, since it was left out.
func anew(builds []*build) (some bool) {
	for _, b := range builds {
		for _, p := range b.parts {
			for s := range p.failed {
				some = some || !p.out[s]
				p.out[s] = true
			}
		}
	}
	if !some {
		return false
	}
	for _, b := range builds {
		for n := range b.parts {
			b.parts[n].batch, b.parts[n].rows = b.plan.Begin(n), map[plan.Key]*expected{}
		}
	}
	return true
}

// failures reports what could not be folded, unless it was skipped.
func failures(builds []*build, r *doctor.Report) {
	found := doctor.NewReport()
	for _, b := range builds {
		for _, p := range b.parts {
			for _, f := range p.failed {
				if !f.excused {
					found.Find(at("I3", f.record, "it cannot be folded: %v", fmt.Errorf("%s: %w", b.plan.Name, f.err)))
				}
			}
		}
	}
	slices.SortStableFunc(found.Findings, func(a, b doctor.Finding) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.Problem, b.Problem))
	})
	r.Merge(found)
}
