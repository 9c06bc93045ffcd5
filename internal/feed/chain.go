package feed

import (
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// chunkEvents and chunkBytes bound what Apply gets at once.
const (
	chunkEvents = 1000
	chunkBytes  = 4 << 20
)

// follow takes from the front of messages the events that go on from checkpoint at without a hole, at most a chunk of
// them, skipping what has been applied. If nothing follows on and messages are left, gap is the position of
// the event that is missing before the first of them.
func follow(at uint64, messages []topic.Message) (events []es.Record, duplicates int, gap uint64, rest []topic.Message) {
	for bytes := 0; len(messages) > 0 && len(events) < chunkEvents && bytes < chunkBytes; messages = messages[1:] {
		m := messages[0]
		if m.Record.Position <= at {
			duplicates++
			continue
		}
		if m.Prev > at {
			if len(events) == 0 {
				gap = m.Prev
			}
			break
		}
		events, at = append(events, m.Record), m.Record.Position
		bytes += len(m.Record.Data) + len(m.Record.Meta)
	}
	return events, duplicates, gap, messages
}

// after leaves out what has been applied.
func after(at uint64, events []es.Record) []es.Record {
	for len(events) > 0 && events[0].Position <= at {
		events = events[1:]
	}
	return events
}
