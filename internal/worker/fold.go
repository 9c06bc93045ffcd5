package worker

import (
	"encoding/binary"
	"fmt"
	"reflect"
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
	body     []byte // the newest version, encoded
	versions []version
}

// version is a row as an event left it.
type version struct {
	stamp projection.Stamp
	body  []byte
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
				r = &row{key: k, first: projection.NoStamp(), stamp: projection.NoStamp()}
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
			if err := f.batch.Apply(r.key, t.event); err != nil {
				return failure.AtOpened(f.build.who(), t.event, r.key.String(), err)
			}
			r.stamp = r.stamp.Next(t.event, f.build.plan.Stream)
			r.body = nil
			if f.build.history != nil {
				body, err := f.encode(types, r)
				if err != nil {
					return failure.AtOpened(f.build.who(), t.event, r.key.String(), err)
				}
				r.body, r.versions = body, append(r.versions, version{r.stamp, body})
			}
		}
	}
	for _, r := range f.order {
		if r.body == nil && r.stamp.Version > r.first.Version {
			var err error
			if r.body, err = f.encode(types, r); err != nil { // of one of the events that touch it; identify finds out which
				return fmt.Errorf("projection %s, row %s: %w", f.build.plan.Name, r.key, err)
			}
		}
	}
	return nil
}

// encode gives the row's columns as Postgres reads them in a composite value.
func (f *fold) encode(types *pgtype.Map, r *row) ([]byte, error) {
	fields := f.batch.Fields(r.key)
	b := make([]byte, 0, 64+24*len(f.build.live.columns))
	for i, from := range f.build.sql.source {
		switch from {
		case fromKey:
			b = appendText(b, r.key.Key)
		case fromSuffix:
			b = appendText(b, r.key.Suffix)
		case fromVersion:
			b = appendInt8(b, r.stamp.Version)
		case fromRevision:
			b = appendInt8(b, r.stamp.Revision)
		case fromPosition:
			b = appendInt8(b, r.stamp.Position)
		case fromValid:
			b = appendTime(b, r.stamp.ValidFrom)
		case fromRecorded:
			b = appendTime(b, r.stamp.RecordedFrom)
		default:
			c := f.build.live.columns[i]
			b = binary.BigEndian.AppendUint32(b, c.typ)
			at := len(b)
			b = append(b, 0xff, 0xff, 0xff, 0xff) // null
			with, err := types.Encode(c.typ, pgtype.BinaryFormatCode, deref(fields[from]), b)
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", c.name, err)
			}
			if with != nil {
				b = with
				binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4)) //nolint:gosec // far below 2^31
			}
		}
	}
	return b, nil
}

func deref(pointer any) any { return reflect.ValueOf(pointer).Elem().Interface() }

// changed adds the rows that came out otherwise than they went in.
func (f *fold) changed(bodies [][]byte) [][]byte {
	for _, r := range f.order {
		if r.stamp.Version > r.first.Version {
			bodies = append(bodies, r.body)
		}
	}
	return bodies
}

// newVersions adds the history's rows: each version until the one after it.
func (f *fold) newVersions(bodies [][]byte) [][]byte {
	for _, r := range f.order {
		for i, v := range r.versions {
			body := slices.Clip(v.body) // the live row shares it
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
