package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// unit is what waits together: a row, or everything of an event's key where it is not known which rows an event is about.
type unit struct {
	plan.Key

	whole bool
}

// wholeOf names the key as its stream does, in characters that Postgres keeps.
func wholeOf(e es.Record) unit { return unit{plan.Key{Key: e.Stream.Partition()}, true} }

// spot is an event that is not folded into a unit: it fails, or it waits behind one that did.
type spot struct {
	unit

	position     uint64
	stream, kind string
	err          error // nil: it waits
}

// hold keeps events from units that are parked, and notes which.
type hold struct {
	parked map[unit]bool
	failed map[unit]error // of the share's only event
	only   *unit          // all else is left out and not noted
	spots  []spot
}

func (h *hold) note(u unit, position uint64, stream es.StreamID, kind string) {
	h.spots = append(h.spots, spot{u, position, kept(stream.String()), kept(kind), h.failed[u]})
}

func (h *hold) has(u unit) bool { return h.parked[u] || h.failed[u] != nil }

// records gives those whose key is not parked as a whole.
func (h *hold) records(b *build, all []es.Record) (free []es.Record) {
	for _, r := range all {
		u := wholeOf(r)
		switch {
		case !b.concerned(r):
		case h.only == nil && h.has(u):
			h.note(u, r.Position, r.Stream, r.Type)
		default:
			free = append(free, r)
		}
	}
	return free
}

// fold leaves the rows that are parked out of a fold. False says that nothing is left of it.
func (h *hold) fold(f *fold) bool {
	kept := f.touches[:0]
	for _, t := range f.touches {
		t.rows = slices.DeleteFunc(t.rows, func(r *row) bool {
			u := unit{r.key, false}
			switch {
			case h.only != nil && !h.only.whole && *h.only != u:
				return true
			case h.only == nil && h.has(u), h.only != nil && h.only.whole && h.has(u):
				h.note(u, t.event.Position, t.event.Stream, t.event.Event.EventType())
				return true
			}
			return false
		})
		if len(t.rows) > 0 {
			kept = append(kept, t)
		}
	}
	f.touches = kept
	return len(kept) > 0
}

// ofEvent tells whether an error is about an event, whatever Postgres does.
func ofEvent(err error) bool {
	t, ok := errors.AsType[*trouble](err)
	return ok && (t.partition != everywhere || ofData(t))
}

// parks tells whether an event that fails is set aside. One of a newer schema is not: it has a meaning, which another program knows. One of a
// type that is not known at all is.
func parks(e *failure.Event) bool {
	u, unreadable := errors.AsType[*es.UnreadableError](e)
	return !unreadable || !u.Newer || u.Known == 0
}

// unitOf is what a build's failure at an event is about.
func (w *Worker) unitOf(partition int, b *build, rec es.Record, e *failure.Event) unit {
	if e.Row != "" && kept(e.Row) == e.Row {
		if opened, err := w.cfg.Catalog.Open(rec); err == nil {
			if keys, err := b.plan.Begin(partition).Touch(opened); err == nil {
				if i := slices.IndexFunc(keys, func(k plan.Key) bool { return k.String() == e.Row }); i >= 0 {
					return unit{keys[i], false}
				}
			}
		}
	}
	return wholeOf(rec)
}

// parkedUnits are those of a build in a partition.
func (w *Worker) parkedUnits(ctx context.Context, partition int, b *build) (map[unit]bool, error) {
	rows, err := w.aparts.Query(ctx, `select distinct key, suffix, whole from daybook.projection_parked where build = $1 and part = $2`, b.id, partition)
	if err != nil {
		return nil, fmt.Errorf("reading what is parked: %w", err)
	}
	var u unit
	all := map[unit]bool{}
	if _, err = pgx.ForEachRow(rows, []any{&u.Key.Key, &u.Suffix, &u.whole}, func() error { all[u] = true; return nil }); err != nil {
		return nil, fmt.Errorf("reading what is parked: %w", err)
	}
	return all, nil
}

// queueSpots parks events.
func queueSpots(b *pgx.Batch, of *build, partition int, spots []spot) {
	var (
		keys, suffixes, streams, kinds []string
		wholes                         []bool
		positions                      []int64
		errs                           []*string
	)
	for _, s := range spots {
		keys, suffixes, wholes = append(keys, s.Key.Key), append(suffixes, s.Suffix), append(wholes, s.whole)
		streams, kinds, positions = append(streams, s.stream), append(kinds, s.kind), append(positions, int64(s.position)) //nolint:gosec // positions stay below 2^63
		var text *string
		if s.err != nil {
			why := kept(s.err.Error())
			text = &why
		}
		errs = append(errs, text)
	}
	if len(spots) > 0 {
		b.Queue(`insert into daybook.projection_parked (build, part, key, suffix, whole, position, stream, type, error)
			select $1, $2, * from unnest($3::text[], $4::text[], $5::boolean[], $6::bigint[], $7::text[], $8::text[], $9::text[]) on conflict do nothing`,
			of.id, partition, keys, suffixes, wholes, positions, streams, kinds, errs)
	}
}

// kept is a text in characters that Postgres keeps.
func kept(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// ParkedError says that rows of a read model wait for an operator.
type ParkedError struct {
	Projection string
	Partition  int
	Units      int
}

func (e *ParkedError) Error() string {
	return fmt.Sprintf("%d rows of read model %s are parked in partition %d behind events that failed: see  daybook projections parked %s", e.Units, e.Projection, e.Partition, e.Projection)
}
