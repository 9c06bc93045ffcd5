package orchestrator

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	inputs, ignored, stored, conflicts, loaded prometheus.Counter
	effects                                    *prometheus.CounterVec // by saga and how it went
	timers                                     *prometheus.CounterVec // by saga and how it went
	stuck                                      *prometheus.CounterVec // by saga
	batch                                      prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, q Querier) *metrics {
	const space, system = "daybook", "saga"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: space, Subsystem: system, Name: name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: space, Subsystem: system, Name: name, Help: help}, labels)
	}
	m := &metrics{
		inputs:    counter("inputs_total", "Events given to instances."),
		ignored:   counter("ignored_inputs_total", "Inputs of which an instance made nothing: held already, or none of its own."),
		stored:    counter("events_total", "Events stored in instances' streams."),
		conflicts: counter("conflicts_total", "Steps made again because another process had gone on with the instance."),
		loaded:    counter("loads_total", "Instances folded from their streams."),
		effects:   vec("effects_total", "Commands sent.", system, "outcome"),
		timers:    vec("timers_total", "Timers that were due.", system, "outcome"),
		stuck:     vec("stuck_total", "Instances that became stuck.", system),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: space, Subsystem: system, Name: "apply_seconds", Help: "One batch of a partition, stored and committed.",
			Buckets: prometheus.ExponentialBuckets(.001, 2, 14),
		}),
	}
	if r != nil {
		r.MustRegister(m.inputs, m.ignored, m.stored, m.conflicts, m.loaded, m.effects, m.timers, m.stuck, m.batch, board{q})
	}
	return m
}

// board counts instances that have not ended, in Postgres, whenever it is asked.
type board struct{ q Querier }

var (
	openDesc = prometheus.NewDesc("daybook_saga_instances", "Instances that have not ended.", []string{"saga", "phase", "stuck"}, nil)
	ageDesc  = prometheus.NewDesc("daybook_saga_oldest_seconds", "Age of the oldest of them.", []string{"saga", "phase", "stuck"}, nil)
)

func (b board) Describe(to chan<- *prometheus.Desc) { to <- openDesc; to <- ageDesc }

func (b board) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	counts, err := Counts(ctx, b.q)
	if err != nil {
		to <- prometheus.NewInvalidMetric(openDesc, err)
		return
	}
	for _, c := range counts {
		labels := []string{c.Saga, string(c.Phase), "no"}
		if c.Stuck {
			labels[2] = "yes"
		}
		to <- prometheus.MustNewConstMetric(openDesc, prometheus.GaugeValue, float64(c.N), labels...)
		to <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, time.Since(c.Oldest).Seconds(), labels...)
	}
}
