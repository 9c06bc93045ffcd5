package eventserver

import "github.com/prometheus/client_golang/prometheus"

// collector shows the store's figures as metrics when they are asked for.
type collector struct {
	s                                                                         *Server
	position, subscribers, disk, tables, memTable, compactions, readOnly, lag *prometheus.Desc
}

func newCollector(s *Server) *collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("eventserver_"+name, help, nil, nil)
	}
	return &collector{s: s,
		position:    desc("position", "Position of the newest event."),
		subscribers: desc("subscribers", "Subscriptions and persistent subscription groups that follow the store."),
		lag:         desc("subscriber_lag_max", "Events that the slowest subscription to everything is behind."),
		disk:        desc("disk_bytes", "Bytes that the data directory takes."),
		tables:      desc("tables", "Sorted tables of the storage engine."),
		memTable:    desc("memtable_bytes", "Bytes in memory tables."),
		compactions: desc("compactions_total", "Compactions since the start."),
		readOnly:    desc("read_only", "1 while appends are refused."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.position, c.subscribers, c.lag, c.disk, c.tables, c.memTable, c.compactions, c.readOnly} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	if c.s.ctx.Err() != nil {
		return // the store is closing
	}
	f := c.s.store.Figures()
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	gauge(c.position, float64(f.Position))
	gauge(c.subscribers, float64(f.Watchers))
	gauge(c.lag, float64(f.Lag))
	gauge(c.disk, float64(f.DiskBytes))
	gauge(c.tables, float64(f.Tables))
	gauge(c.memTable, float64(f.MemTableBytes))
	ch <- prometheus.MustNewConstMetric(c.compactions, prometheus.CounterValue, float64(f.Compactions))
	readOnly := 0.0
	if f.ReadOnly {
		readOnly = 1
	}
	gauge(c.readOnly, readOnly)
}
