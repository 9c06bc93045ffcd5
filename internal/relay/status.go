package relay

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/health"
)

// What may hinder a relay.
const (
	atStore      = "event store"
	atEnd        = "end of the log"
	atTopic      = "topic"
	atCheckpoint = "checkpoint"
)

func atPartition(n int) string { return fmt.Sprintf("partition %d", n) }

// status is what a relay says of itself.
type status struct {
	metrics *metrics
	active  atomic.Bool
	behind  atomic.Int64 // what the store's clock is behind ours at most, in nanoseconds
	health  *health.Reporter
}

func newStatus(m *metrics, h *health.Reporter) *status { return &status{metrics: m, health: h} }

// note records the outcome of one look at a place; nil clears it.
func (s *status) note(at string, err error) {
	if err != nil {
		s.metrics.errors.WithLabelValues(label(at)).Inc()
	}
	s.health.Set(at, err)
}

func label(at string) string {
	switch at {
	case atStore, atEnd, atTopic, atCheckpoint:
		return at
	}
	return "produce"
}

type metrics struct {
	active, position, lagPositions, lagSeconds prometheus.Gauge
	events, bytes, takeovers, fenced           prometheus.Counter
	batchEvents, batchBytes, produce           prometheus.Histogram
	errors                                     *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "daybook_relay_" + name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "daybook_relay_" + name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "daybook_relay_" + name, Help: help, Buckets: buckets})
	}
	m := &metrics{
		active:       gauge("active", "1 if this process is the relay that publishes."),
		position:     gauge("position", "Checkpoint: everything up to this position is in Kafka."),
		lagPositions: gauge("lag_positions", "How far the checkpoint is behind the end of the log."),
		lagSeconds:   gauge("lag_seconds", "Age of the oldest event that is read and not acknowledged by Kafka."),
		events:       counter("events_total", "Events that Kafka has acknowledged, repetitions included."),
		bytes:        counter("bytes_total", "Bytes of those, about."),
		takeovers:    counter("takeovers_total", "Times this process became the active relay."),
		fenced:       counter("fenced_total", "Times it found that another had taken over."),
		batchEvents:  histogram("batch_events", "Events in a batch.", prometheus.ExponentialBuckets(1, 2, 12)),
		batchBytes:   histogram("batch_bytes", "Bytes of a batch, about.", prometheus.ExponentialBuckets(1<<10, 2, 12)),
		produce:      histogram("produce_seconds", "Time from sending a batch to its acknowledgement.", prometheus.ExponentialBuckets(0.0001, 2, 16)),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "daybook_relay_errors_total", Help: "Failures, each tried again, by where."},
			[]string{"at"}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.active, m.position, m.lagPositions, m.lagSeconds, m.events, m.bytes, m.takeovers, m.fenced,
		m.batchEvents, m.batchBytes, m.produce, m.errors} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("relay: registering metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) published(events, bytes int) {
	m.events.Add(float64(events))
	m.bytes.Add(float64(bytes))
	m.batchEvents.Observe(float64(events))
	m.batchBytes.Observe(float64(bytes))
}

func (m *metrics) lag(end, position uint64, oldest time.Time) {
	m.lagPositions.Set(float64(end - min(end, position)))
	seconds := 0.0
	if !oldest.IsZero() {
		seconds = max(time.Since(oldest).Seconds(), 0)
	}
	m.lagSeconds.Set(seconds)
}
