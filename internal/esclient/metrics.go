package esclient

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/kit/es"
)

type metrics struct {
	appends     *prometheus.HistogramVec
	ok          prometheus.Observer // of appends
	unknown     prometheus.Counter
	connections *prometheus.CounterVec
}

// newMetrics registers with r, if there is one. Clients of one registry share their metrics.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		appends: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "daybook_eventstore_append_seconds", Help: "Time from asking for an append to its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"outcome"}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "daybook_eventstore_unknown_outcomes_total", Help: "Appends that may or may not have been written.",
		}),
		connections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "daybook_eventstore_connections_total", Help: "Connections made to the event store; all but the first of each kind replace one that failed.",
		}, []string{"kind"}),
	}
	m.ok = m.appends.WithLabelValues("ok")
	if r == nil {
		return m, nil
	}
	var err error
	if m.appends, err = register(r, m.appends); err != nil {
		return nil, err
	}
	m.ok = m.appends.WithLabelValues("ok")
	if m.unknown, err = register(r, m.unknown); err != nil {
		return nil, err
	}
	if m.connections, err = register(r, m.connections); err != nil {
		return nil, err
	}
	return m, nil
}

func register[C prometheus.Collector](r prometheus.Registerer, c C) (C, error) {
	err := r.Register(c)
	if twice, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := twice.ExistingCollector.(C); ok {
			return same, nil
		}
	}
	if err != nil {
		return c, fmt.Errorf("metrics of the event store's client: %w", err)
	}
	return c, nil
}

func (m *metrics) connected(kind string) { m.connections.WithLabelValues(kind).Inc() }

func (m *metrics) appended(begun time.Time, err error) {
	var outcome string
	switch {
	case err == nil:
		m.ok.Observe(time.Since(begun).Seconds())
		return
	case errors.Is(err, es.ErrUnknownOutcome):
		outcome = "unknown"
		m.unknown.Inc()
	case errors.Is(err, es.ErrWrongRevision):
		outcome = "wrong_revision"
	case errors.Is(err, es.ErrUnavailable):
		outcome = "unavailable"
	default:
		outcome = "refused"
	}
	m.appends.WithLabelValues(outcome).Observe(time.Since(begun).Seconds())
}
