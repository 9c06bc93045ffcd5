package reader

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Parked is a row of a build whose events wait behind one that failed, or all rows of a key.
type Parked struct {
	operation.Row

	Version   int
	Serves    bool
	Partition int
	Position  uint64 // of the event that failed
	Stream    string
	Type      string
	Error     string
	Since     time.Time
	Waiting   int    // events behind it
	Reached   uint64 // the build's checkpoint in the partition
}

const parkedUnits = `select build, part, key, suffix, whole, min(position) as position, count(*) - 1 as waiting
	from daybook.projection_parked group by build, part, key, suffix, whole`

// Parked lists what is parked in the builds of a projection, or of all where it has no name, by the position of what failed: at most limit of them.
func (r *Reader) Parked(ctx context.Context, projection string, limit int) (all []Parked, more bool, err error) {
	leave, err := r.aside(ctx)
	if err != nil {
		return nil, false, err
	}
	defer leave()
	rows, err := r.cfg.Pool.Query(ctx, `select b.projection, b.version, exists (select from daybook.projection_pointer t where t.build = b.id), u.part, u.key, u.suffix, u.whole,
			u.position, h.stream, h.type, coalesce(h.error, ''), h.parked_at, u.waiting, c.position
		from (`+parkedUnits+`) u
		join daybook.projection_parked h using (build, part, key, suffix, whole, position)
		join daybook.projection_build b on b.id = u.build
		join daybook.projection_progress c on c.build = u.build and c.part = u.part
		where $1 = '' or b.projection = $1 order by u.position, b.projection, b.version, u.key, u.suffix limit $2`, projection, limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("read what is parked: %w", err)
	}
	var p Parked
	_, err = pgx.ForEachRow(rows, []any{
		&p.Projection, &p.Version, &p.Serves, &p.Partition, &p.Key, &p.Suffix, &p.Whole, &p.Position, &p.Stream, &p.Type, &p.Error, &p.Since, &p.Waiting, &p.Reached,
	}, func() error {
		p.Since = p.Since.UTC()
		all = append(all, p)
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("read what is parked: %w", err)
	}
	if len(all) > limit {
		return all[:limit], true, nil
	}
	return all, false, nil
}

// parked looks at what is parked in the builds that are asked: of a key it is an error, else it is counted. Totals of all keys are counted alone.
func (s *snapshot) parked(ctx context.Context, key string) (n int, err error) {
	var builds []int64
	for name, l := range s.live {
		if l.parked && (key == "" || !s.view.plans[name].Shared) {
			builds = append(builds, l.id)
		}
	}
	if len(builds) == 0 || s.view.parkedToo {
		return 0, nil
	}
	if key == "" {
		err = s.conn.QueryRow(ctx, `select count(*) from (`+parkedUnits+`) u where build = any($1)`, builds).Scan(&n)
	} else {
		err = s.conn.QueryRow(ctx, `select count(*) from daybook.projection_parked where build = any($1) and part = $2 and key = case when whole then $3 else $4 end`,
			builds, s.view.reader.Partition(key), es.StreamID{Category: "any", Key: key}.Partition(), key).Scan(&n)
	}
	if err != nil {
		return 0, fmt.Errorf("read what is parked: %w", err)
	}
	if key != "" && n > 0 {
		return 0, fmt.Errorf("%s: %w", key, query.ErrParked)
	}
	return n, nil
}
