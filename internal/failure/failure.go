package failure

import (
	"errors"
	"fmt"

	"github.com/daybook-dev/daybook/kit/es"
)

// Who fails at an event.
type Who struct {
	Kind  string // "read model", "saga", "reactor"
	Name  string
	Build int64 // of a read model; 0 for others
}

func (w Who) String() string {
	switch {
	case w.Name == "":
		return "each " + w.Kind
	case w.Build > 0:
		return fmt.Sprintf("%s %s (build %d)", w.Kind, w.Name, w.Build)
	}
	return w.Kind + " " + w.Name
}

// Event is the failure of one event.
type Event struct {
	Who      Who
	Position uint64 // 0 where only the stream is known
	Stream   es.StreamID
	Revision uint64
	Type     string
	Row      string // key of the row, instance or intent that it is about; "" if there is none
	Err      error
}

func (e *Event) Error() string {
	row := ""
	if e.Row != "" {
		row = ", row " + e.Row
	}
	at := ""
	if e.Position > 0 {
		at = fmt.Sprintf(" at position %d", e.Position)
	}
	return fmt.Sprintf("%s fails at %s (%s@%d)%s%s: %v", e.Who, e.Type, e.Stream, e.Revision, at, row, e.Err)
}

func (e *Event) Unwrap() error { return e.Err }

// At is the failure of somebody at a record.
func At(who Who, r es.Record, row string, err error) *Event {
	return &Event{Who: who, Position: r.Position, Stream: r.Stream, Revision: r.Revision, Type: r.Type, Row: row, Err: err}
}

// AtOpened is At for an event that was opened.
func AtOpened(who Who, r es.Recorded, row string, err error) *Event {
	return &Event{Who: who, Position: r.Position, Stream: r.Stream, Revision: r.Revision, Type: r.Event.EventType(), Row: row, Err: err}
}

// Of finds the event that an error is about.
func Of(err error) (*Event, bool) { return errors.AsType[*Event](err) }

// Outage is that a server is away.
type Outage struct {
	Server string
	Err    error
}

func (o *Outage) Error() string { return fmt.Sprintf("%s is away: %v", o.Server, o.Err) }
func (o *Outage) Unwrap() error { return o.Err }

// IsOutage tells whether an error is the absence of a server.
func IsOutage(err error) bool {
	_, away := errors.AsType[*Outage](err)
	return away
}
