package kafkaserver

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	connections prometheus.Gauge
	requests    *prometheus.CounterVec
	refused     *prometheus.CounterVec
	received    prometheus.Counter
	sent        prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "daybook_kafka_connections", Help: "Clients connected to the embedded broker."}),
		requests:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "daybook_kafka_requests_total", Help: "Requests let through, by Kafka's name for them."}, []string{"api"}),
		refused:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "daybook_kafka_refused_total", Help: "Connections cut because of what they sent, by reason."}, []string{"reason"}),
		received:    prometheus.NewCounter(prometheus.CounterOpts{Name: "daybook_kafka_received_bytes_total", Help: "Bytes of requests let through."}),
		sent:        prometheus.NewCounter(prometheus.CounterOpts{Name: "daybook_kafka_sent_bytes_total", Help: "Bytes of answers."}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.connections, m.requests, m.refused, m.received, m.sent} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}
