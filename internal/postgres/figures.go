package postgres

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// figures reports a pool's state whenever it is asked.
type figures struct {
	pool                          *pgxpool.Pool
	conns, limit, waits, waitTime *prometheus.Desc
}

func newFigures(pool *pgxpool.Pool, name string) *figures {
	desc := func(metric, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("daybook_postgres_pool_"+metric, help, labels, prometheus.Labels{"pool": name})
	}
	return &figures{
		pool:     pool,
		conns:    desc("connections", "Connections by state: used, idle, opening.", "state"),
		limit:    desc("connections_limit", "Most connections the pool may hold."),
		waits:    desc("waits_total", "Times a caller had to wait for a connection."),
		waitTime: desc("acquire_seconds_total", "Time spent getting connections."),
	}
}

func (f *figures) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{f.conns, f.limit, f.waits, f.waitTime} {
		ch <- d
	}
}

func (f *figures) Collect(ch chan<- prometheus.Metric) {
	s := f.pool.Stat()
	gauge := func(d *prometheus.Desc, v int32, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	gauge(f.conns, s.AcquiredConns(), "used")
	gauge(f.conns, s.IdleConns(), "idle")
	gauge(f.conns, s.ConstructingConns(), "opening")
	gauge(f.limit, s.MaxConns())
	ch <- prometheus.MustNewConstMetric(f.waits, prometheus.CounterValue, float64(s.EmptyAcquireCount()))
	ch <- prometheus.MustNewConstMetric(f.waitTime, prometheus.CounterValue, s.AcquireDuration().Seconds())
}
