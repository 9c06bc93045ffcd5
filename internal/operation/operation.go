// Package operation has the events by which operators act on what an engine has set aside. They are recorded in "operation-<key>", the key
// of the event that failed, so that the worker of its partition carries them out in the order of the feed, and every later build meets
// them where this one did.
package operation

import "github.com/daybook-dev/daybook/kit/es"

// Row names what is parked: a row of a read model, or everything that comes of a key where it is not known which rows an event is about.
type Row struct {
	Projection string `json:"projection"`
	Key        string `json:"key"`
	Suffix     string `json:"suffix,omitempty"`
	Whole      bool   `json:"whole,omitempty"`
}

// RowRetried has a row's events folded again, from the one that failed.
type RowRetried struct {
	Row
}

// RowSkipped leaves one event out of a row, for good, and has those that wait behind it folded.
type RowSkipped struct {
	Row

	Position uint64 `json:"position"`
	Reason   string `json:"reason"`
}

// EventType implements es.Event.
func (RowRetried) EventType() string { return "operation.row_retried" }

// EventType implements es.Event.
func (RowSkipped) EventType() string { return "operation.row_skipped" }

// Catalog is this package's own events.
func Catalog() []es.Definition {
	return []es.Definition{es.Define[RowRetried](1), es.Define[RowSkipped](1)}
}

// Category is that of the streams of operations.
const Category = "operation"

// Stream is where operations are recorded on what failed at an event of a stream.
func Stream(failed es.StreamID) es.StreamID { return es.StreamID{Category: Category, Key: failed.Key} }
