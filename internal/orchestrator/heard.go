package orchestrator

import (
	"bytes"
	"sync"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// heard opens events, and remembers the last ones: an event is opened to tell whether it concerns somebody, and a moment later to be applied.
// Instances share what was opened and change nothing of it.
type heard struct {
	catalog *es.Catalog

	mu   sync.Mutex
	at   map[place]*opened
	last [heardMost]place // in a circle
	next int
}

const heardMost = 512

type place struct {
	stream   es.StreamID
	revision uint64
}

type opened struct {
	record es.Record
	in     machine.Heard
}

func (h *heard) init(c *es.Catalog) { h.catalog, h.at = c, map[place]*opened{} }

// of opens a record.
func (h *heard) of(r es.Record) (machine.Heard, error) {
	at := place{r.Stream, r.Revision}
	h.mu.Lock()
	known := h.at[at]
	h.mu.Unlock()
	if known != nil && same(known.record, r) {
		return known.in, nil
	}
	in, err := machine.HeardOf(h.catalog, r)
	if err != nil {
		return in, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at[at] == nil {
		delete(h.at, h.last[h.next])
		h.last[h.next] = at
		h.next = (h.next + 1) % heardMost
	}
	h.at[at] = &opened{r, in}
	return in, nil
}

func same(a, b es.Record) bool {
	return a.ID == b.ID && a.Position == b.Position && a.Type == b.Type && a.Created.Equal(b.Created) && bytes.Equal(a.Data, b.Data) && bytes.Equal(a.Meta, b.Meta)
}
