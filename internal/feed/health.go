package feed

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// joining is the place of whatever keeps the whole feed from working; partitions have their numbers.
const joining = -1

// health remembers what is broken now.
type health struct {
	mu     sync.Mutex
	broken map[int]error
}

func (h *health) set(part int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken == nil {
		h.broken = map[int]error{}
	}
	h.broken[part] = err
}

func (h *health) clear(part int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.broken, part)
}

func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []error
	for _, part := range slices.Sorted(maps.Keys(h.broken)) {
		err := h.broken[part]
		if part != joining {
			err = fmt.Errorf("partition %d: %w", part, err)
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

type metrics struct {
	live, healed, duplicates, heals, foreign, failures prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, consumer string) metrics {
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "daybook_feed_events_total", Help: "Events applied, by where they were read.",
		ConstLabels: prometheus.Labels{"consumer": consumer},
	}, []string{"source"})
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{
			Name: "daybook_feed_" + name + "_total", Help: help, ConstLabels: prometheus.Labels{"consumer": consumer},
		})
		if reg != nil {
			reg.MustRegister(c)
		}
		return c
	}
	if reg != nil {
		reg.MustRegister(events)
	}
	return metrics{
		live: events.WithLabelValues("kafka"), healed: events.WithLabelValues("store"),
		duplicates: counter("duplicates", "Messages skipped because their event had been applied."),
		heals:      counter("heals", "Holes that were filled from the event store."),
		foreign:    counter("malformed", "Messages that are not the relay's."),
		failures:   counter("failures", "Failed tries to apply events."),
	}
}
