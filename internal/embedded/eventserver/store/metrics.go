package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the writer's figures. A nil *Metrics counts nothing.
type Metrics struct {
	batchSize, batchTime, syncTime prometheus.Histogram
}

// NewMetrics registers the writer's figures.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	seconds := prometheus.ExponentialBuckets(50e-6, 2, 16)
	m := &Metrics{
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "eventserver_batch_requests",
			Help: "Requests per group commit.", Buckets: prometheus.ExponentialBuckets(1, 2, 14)}),
		batchTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "eventserver_batch_seconds",
			Help: "Time from taking a batch up to its answers.", Buckets: seconds}),
		syncTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "eventserver_sync_seconds",
			Help: "Time to write and sync a batch.", Buckets: seconds}),
	}
	for _, c := range []prometheus.Collector{m.batchSize, m.batchTime, m.syncTime} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) batch(requests int, d time.Duration) {
	if m != nil {
		m.batchSize.Observe(float64(requests))
		m.batchTime.Observe(d.Seconds())
	}
}

func (m *Metrics) sync(d time.Duration) {
	if m != nil {
		m.syncTime.Observe(d.Seconds())
	}
}
