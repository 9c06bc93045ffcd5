package worker

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// fold is one build's part of a batch: which rows it touches, and what becomes of them.
type fold struct {
	build   *build
	batch   plan.Batch
	touches []touch
	rows    map[plan.Key]*row
	order   []*row // by key, so that no two workers lock rows in different orders
	folded  int
}

// touch is one event for the rows it changes.
type touch struct {
	event es.Recorded
	rows  []*row
}

// row is one row on its way: as loaded, then as folded.
type row struct {
	key      plan.Key
	first    projection.Stamp // as loaded
	stamp    projection.Stamp
	now      image   // as it is; empty where that is not known
	wrote    []int32 // by wide column: the version that wrote it last
	versions []version
}

// version is a row as an event left it.
type version struct {
	stamp projection.Stamp
	image image
	wrote []int32
}

// touchAll finds out which rows the events touch.
func (b *build) touchAll(partition int, events []es.Recorded) (*fold, error) {
	f := &fold{build: b, batch: b.plan.Begin(partition), rows: map[plan.Key]*row{}}
	for _, e := range events {
		if !b.types[e.Event.EventType()] {
			continue
		}
		keys, err := f.batch.Touch(e)
		if err != nil {
			return nil, failure.AtOpened(b.who(), e, "", err)
		}
		if len(keys) == 0 {
			continue
		}
		t := touch{event: e, rows: make([]*row, len(keys))}
		for i, k := range keys {
			r := f.rows[k]
			if r == nil {
				r = &row{key: k, first: projection.NoStamp(), stamp: projection.NoStamp(), wrote: make([]int32, len(b.wide))}
				f.rows[k] = r
				f.order = append(f.order, r)
			}
			t.rows[i] = r
		}
		f.touches = append(f.touches, t)
	}
	slices.SortFunc(f.order, func(a, b *row) int { return compare(a.key, b.key) })
	return f, nil
}

func compare(a, b plan.Key) int {
	if a.Key != b.Key {
		if a.Key < b.Key {
			return -1
		}
		return 1
	}
	switch {
	case a.Suffix < b.Suffix:
		return -1
	case a.Suffix > b.Suffix:
		return 1
	}
	return 0
}

// keys adds to the two arrays that the rows are loaded by.
func (f *fold) keys(keys, suffixes []string) (withKeys, withSuffixes []string) {
	for _, r := range f.order {
		keys, suffixes = append(keys, r.key.Key), append(suffixes, r.key.Suffix)
	}
	return keys, suffixes
}

// scan takes over one of its rows.
func (f *fold) scan(key plan.Key, rows pgx.Rows) error {
	r := f.rows[key]
	s := &r.first
	dest := append([]any{nil, nil, &s.Version, &s.Revision, &s.Position, &s.ValidFrom, &s.RecordedFrom}, f.batch.Fields(key)...)
	for w := range r.wrote {
		dest = append(dest, &r.wrote[w])
	}
	if err := rows.Scan(dest...); err != nil {
		return err
	}
	s.ValidFrom, s.RecordedFrom = s.ValidFrom.UTC(), s.RecordedFrom.UTC()
	r.stamp = r.first
	return nil
}

// apply folds the events after a position, and encodes what they leave.
func (f *fold) apply(types *pgtype.Map, after uint64) error {
	for _, t := range f.touches {
		if t.event.Position <= after {
			continue
		}
		f.folded++
		for _, r := range t.rows {
			if err := f.one(types, r, t.event); err != nil {
				return failure.AtOpened(f.build.who(), t.event, r.key.String(), err)
			}
		}
	}
	for _, r := range f.order {
		if r.now.unknown() && r.stamp.Version > r.first.Version {
			var err error
			if r.now, err = f.encode(types, r.key); err != nil { // of one of the events that touch it; identify finds out which
				return fmt.Errorf("projection %s, row %s: %w", f.build.plan.Name, r.key, err)
			}
		}
	}
	return nil
}

// one folds an event into a row. A row is compared with what it was before where that may decide whether there is a new version, or what
// the version keeps.
func (f *fold) one(types *pgtype.Map, r *row, e es.Recorded) (err error) {
	own := e.Stream.Category == f.build.plan.Stream
	kept := f.build.history != nil
	compared := r.stamp.Version >= 0 && (kept || !own)
	if compared && r.now.unknown() {
		if r.now, err = f.encode(types, r.key); err != nil {
			return err
		}
	}
	if err = f.batch.Apply(r.key, e); err != nil {
		return err
	}
	if !compared && !kept {
		r.stamp, r.now = r.stamp.Next(e, f.build.plan.Stream), image{}
		return nil
	}
	now, err := f.encode(types, r.key)
	if err != nil || compared && !own && now.same(r.now) {
		return err
	}
	r.stamp = r.stamp.Next(e, f.build.plan.Stream)
	if kept {
		r.wrote = f.written(r, now)
		r.versions = append(r.versions, version{r.stamp, now, r.wrote})
	}
	r.now = now
	return nil
}

// written says of each wide column which version wrote it last, the row being now at its newest.
func (f *fold) written(r *row, now image) []int32 {
	wrote := slices.Clone(r.wrote)
	for w, field := range f.build.wide {
		if r.stamp.Version == 0 || !bytes.Equal(now.field(field), r.now.field(field)) {
			wrote[w] = int32(r.stamp.Version) //nolint:gosec // no row has 2^31 versions
		}
	}
	return wrote
}

// changed counts the rows that came out otherwise than they went in.
func (f *fold) changed() (n int) {
	for _, r := range f.order {
		if r.stamp.Version > r.first.Version {
			n++
		}
	}
	return n
}

// live adds the rows that came out otherwise than they went in.
func (f *fold) live(bodies [][]byte) [][]byte {
	for _, r := range f.order {
		if r.stamp.Version > r.first.Version {
			bodies = append(bodies, f.body(r.key, version{r.stamp, r.now, r.wrote}, false))
		}
	}
	return bodies
}

// newVersions adds the history's rows: each version until the one after it.
func (f *fold) newVersions(bodies [][]byte) [][]byte {
	for _, r := range f.order {
		for i, v := range r.versions {
			body := f.body(r.key, v, true)
			if i+1 < len(r.versions) {
				next := r.versions[i+1].stamp
				body = appendTime(appendTime(body, next.ValidFrom), next.RecordedFrom)
			} else {
				body = appendMicros(appendMicros(body, infinity), infinity)
			}
			bodies = append(bodies, body)
		}
	}
	return bodies
}

// endings are the versions in the history that are no longer the newest.
type endings struct {
	keys, suffixes    []string
	versions          []int64
	valid, recordedTo []time.Time
}

// endings adds those of the rows that have newer ones now.
func (f *fold) endings(e *endings) {
	for _, r := range f.order {
		if r.first.Version >= 0 && len(r.versions) > 0 {
			next := r.versions[0].stamp
			e.keys, e.suffixes = append(e.keys, r.key.Key), append(e.suffixes, r.key.Suffix)
			e.versions = append(e.versions, r.first.Version)
			e.valid, e.recordedTo = append(e.valid, next.ValidFrom), append(e.recordedTo, next.RecordedFrom)
		}
	}
}
