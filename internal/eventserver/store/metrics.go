package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the writer's figures. A nil *Metrics counts nothing.
type Metrics struct {
	batchSize, batchBytes, batchTime, syncTime, appendTime prometheus.Histogram
	refused                                                prometheus.Counter
}

// NewMetrics registers the writer's figures.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	seconds := prometheus.ExponentialBuckets(50e-6, 2, 16)
	m := &Metrics{
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "daybook_eventserver_batch_requests",
			Help: "Requests per group commit.", Buckets: prometheus.ExponentialBuckets(1, 2, 14)}),
		batchBytes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "daybook_eventserver_batch_bytes",
			Help: "Bytes that a group commit writes to the log, index included.", Buckets: prometheus.ExponentialBuckets(256, 4, 9)}),
		batchTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "daybook_eventserver_batch_seconds",
			Help: "Time from taking a batch up to its answers.", Buckets: seconds}),
		syncTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "daybook_eventserver_sync_seconds",
			Help: "Time to write and sync a batch.", Buckets: seconds}),
		appendTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "daybook_eventserver_append_seconds",
			Help: "Time from an append's arrival in the queue to its answer.", Buckets: seconds}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "daybook_eventserver_appends_refused_total",
			Help: "Appends not taken up because the store was full, failed or closing."}),
	}
	for i, c := range m.Collectors() {
		if err := reg.Register(c); err != nil {
			for _, c := range m.Collectors()[:i] {
				reg.Unregister(c)
			}
			return nil, err
		}
	}
	return m, nil
}

// Collectors are what NewMetrics registered.
func (m *Metrics) Collectors() []prometheus.Collector {
	if m == nil {
		return nil
	}
	return []prometheus.Collector{m.batchSize, m.batchBytes, m.batchTime, m.syncTime, m.appendTime, m.refused}
}

func (m *Metrics) batch(requests, bytes int, d time.Duration) {
	if m != nil {
		m.batchSize.Observe(float64(requests))
		m.batchBytes.Observe(float64(bytes))
		m.batchTime.Observe(d.Seconds())
	}
}

func (m *Metrics) answered(since time.Time) {
	if m != nil {
		m.appendTime.Observe(time.Since(since).Seconds())
	}
}

func (m *Metrics) refuse(n int) {
	if m != nil {
		m.refused.Add(float64(n))
	}
}

func (m *Metrics) sync(d time.Duration) {
	if m != nil {
		m.syncTime.Observe(d.Seconds())
	}
}
