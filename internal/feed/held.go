package feed

import (
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// held is the newest events of a partition, which follow on from the checkpoint and do not concern the consumer: they wait for some that
// do, or for their time. A process that ends meanwhile has not applied them, and the checkpoint says so.
type held struct {
	concerns func(partition int, event es.Record) bool // nil: nothing is held
	hold     time.Duration
	events   []es.Record
	until    time.Time // if there are any
}

func newHeld(cfg Config) held {
	if c, ok := cfg.Consumer.(Selective); ok && cfg.Hold > 0 {
		return held{concerns: c.Concerns, hold: cfg.Hold}
	}
	return held{}
}

// keep holds events, unless one of them concerns somebody: false.
func (h *held) keep(partition int, events []es.Record) bool {
	if h.concerns == nil {
		return false
	}
	for _, e := range events {
		if h.concerns(partition, e) {
			return false
		}
	}
	if len(h.events) == 0 {
		h.until = time.Now().Add(h.hold)
	}
	h.events = append(h.events, events...)
	return true
}

func (h *held) due() bool { return len(h.events) > 0 && !time.Now().Before(h.until) }

func (h *held) release() []es.Record {
	events := h.events
	h.events = nil
	return events
}
