package projection

import (
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Stamp is what the engine keeps of each row beside its columns. Embed it in what a query scans to select any of it.
type Stamp struct {
	// Version counts the row's versions from 0: one per event that changed it. An event of the table's Stream always does, for the
	// revision is of the row; one of another stream that leaves every column as it was does not.
	Version int64 `db:"version"`
	// Revision is that of the last event of the table's Stream, -1 before the first.
	Revision int64 `db:"revision"`
	// Position of the last event that changed the row.
	Position int64 `db:"position"`
	// ValidFrom is business time: the greatest of all events that changed the row so far.
	ValidFrom time.Time `db:"valid_from"`
	// RecordedFrom is the greatest recorded time so far. Both only grow, so both axes order versions alike.
	RecordedFrom time.Time `db:"recorded_from"`
}

// NoStamp is that of a row which does not exist yet.
func NoStamp() Stamp { return Stamp{Version: -1, Revision: -1} }

// Next is the stamp of the version that an event makes.
func (s Stamp) Next(r es.Recorded, stream string) Stamp {
	s.Version++
	s.Position = int64(r.Position) //nolint:gosec // positions of a store stay below 2^63
	if r.Stream.Category == stream {
		s.Revision = int64(r.Revision) //nolint:gosec // as do revisions
	}
	s.ValidFrom = later(s.ValidFrom, es.Micro(r.OccurredAt()))
	s.RecordedFrom = later(s.RecordedFrom, es.Micro(r.Created))
	return s
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
