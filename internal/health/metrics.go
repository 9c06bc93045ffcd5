package health

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	readyDesc    = prometheus.NewDesc("daybook_health_ready", "1 if every part of the reporter is well, else 0.", []string{"reporter"}, nil)
	brokenDesc   = prometheus.NewDesc("daybook_health_broken_parts", "Parts of the reporter that fail or are not ready yet.", []string{"reporter"}, nil)
	failuresDesc = prometheus.NewDesc("daybook_health_failures_total", "Failed looks at parts of the reporter.", []string{"reporter"}, nil)
)

// Describe implements prometheus.Collector.
func (b *Board) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{readyDesc, brokenDesc, failuresDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector. It asks the probes.
func (b *Board) Collect(to chan<- prometheus.Metric) {
	b.Ask(context.Background())
	b.mu.Lock()
	reporters := b.reporters
	b.mu.Unlock()
	for _, r := range reporters {
		r.mu.Lock()
		broken, failures, ready := float64(len(r.broken)), float64(r.failures), 0.0
		r.mu.Unlock()
		if broken == 0 {
			ready = 1
		}
		to <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, ready, r.name)
		to <- prometheus.MustNewConstMetric(brokenDesc, prometheus.GaugeValue, broken, r.name)
		to <- prometheus.MustNewConstMetric(failuresDesc, prometheus.CounterValue, failures, r.name)
	}
}
