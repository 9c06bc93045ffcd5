package es

import (
	"strings"
	"time"
)

// Event is a fact: a plain struct with value semantics and a stable wire name, "order.placed".
// The part before the dot is the category of the streams it may stand in.
type Event interface{ EventType() string }

// Record is an event as it is stored: not decoded, not upcast.
type Record struct {
	ID       UUID
	Stream   StreamID
	Revision uint64 // in its stream, from 0
	Position uint64 // in the log, from 1
	Created  time.Time
	Type     string
	Data     []byte
	Meta     []byte
}

// sagaPrefix begins the types of a saga's own events, which are recorded and not relayed. Only DefineSaga takes one.
const sagaPrefix = "saga."

// RelayFilter is the number of the rule that Relayed is. A change of the rule raises it: a chain of events that was made under one number
// has other links than one that was made under another.
const RelayFilter = 1

// Relayed tells whether the event leaves the store: it is recorded, and no saga's own. Every relay must agree on it.
func (r Record) Relayed() bool { return r.Recorded() && !strings.HasPrefix(r.Type, sagaPrefix) }

// Recorded tells whether the log has the event: it is not one of the store's own.
func (r Record) Recorded() bool {
	stream := r.Stream.Category
	if stream == "" {
		stream = r.Stream.Key
	}
	return !strings.HasPrefix(stream, "$") && !strings.HasPrefix(r.Type, "$")
}

// Recorded is an event as readers see it: decoded, lifted to its newest version, with its envelope.
type Recorded struct {
	Event    Event
	Meta     Meta
	ID       UUID
	Stream   StreamID
	Revision uint64
	Position uint64
	Created  time.Time // recorded time
}

// OccurredAt is the business time: the metadata's, else the store's.
func (r Recorded) OccurredAt() time.Time {
	if r.Meta.OccurredAt.IsZero() {
		return r.Created
	}
	return r.Meta.OccurredAt
}

// Micro cuts a time to what every part of the system can keep: UTC microseconds.
func Micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
