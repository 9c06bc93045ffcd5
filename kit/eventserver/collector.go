package eventserver

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/eventserver/persistent"
)

// collector shows the store's figures as metrics when they are asked for.
type collector struct {
	s *Server

	position, subscribers, lag, disk, free, tables, memTable, compactions, readOnly *prometheus.Desc
	groupLag, groupInFlight, groupParked, groupConsumers                            *prometheus.Desc
}

func newCollector(s *Server) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("daybook_eventserver_"+name, help, labels, nil)
	}
	return &collector{
		s:           s,
		position:    desc("position", "Position of the newest event."),
		subscribers: desc("subscribers", "Subscriptions and persistent subscription groups that follow the store."),
		lag:         desc("subscriber_lag_max", "Events that the slowest subscription is behind, persistent ones aside."),
		disk:        desc("disk_bytes", "Bytes that the data directory takes."),
		free:        desc("disk_free_bytes", "Bytes that are free on the data directory's disk."),
		tables:      desc("tables", "Sorted tables of the storage engine."),
		memTable:    desc("memtable_bytes", "Bytes in memory tables."),
		compactions: desc("compactions_total", "Compactions since the start."),
		readOnly:    desc("read_only", "1 while appends are refused."),

		groupLag:       desc("persistent_lag", "Events between a persistent subscription's checkpoint and the end of what it reads.", "stream", "group"),
		groupInFlight:  desc("persistent_in_flight", "Messages that a persistent subscription's consumers have and did not answer.", "stream", "group"),
		groupParked:    desc("persistent_parked", "Messages that a persistent subscription has parked.", "stream", "group"),
		groupConsumers: desc("persistent_consumers", "Consumers of a persistent subscription.", "stream", "group"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.position, c.subscribers, c.lag, c.disk, c.free, c.tables, c.memTable, c.compactions, c.readOnly,
		c.groupLag, c.groupInFlight, c.groupParked, c.groupConsumers,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	if !c.s.enter() {
		return // it is closing, and waits for those who read the store
	}
	defer c.s.locals.Done()
	f := c.s.store.Figures()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.position, float64(f.Position))
	gauge(c.subscribers, float64(f.Watchers))
	gauge(c.lag, float64(f.Lag))
	gauge(c.disk, float64(f.DiskBytes))
	gauge(c.free, float64(f.FreeBytes))
	gauge(c.tables, float64(f.Tables))
	gauge(c.memTable, float64(f.MemTableBytes))
	ch <- prometheus.MustNewConstMetric(c.compactions, prometheus.CounterValue, float64(f.Compactions))
	readOnly := 0.0
	if f.ReadOnly {
		readOnly = 1
	}
	gauge(c.readOnly, readOnly)
	if c.s.store.Err() != nil {
		return // a failed store may not answer
	}
	ctx, cancel := context.WithTimeout(c.s.ctx, collectTimeout)
	defer cancel()
	infos, err := c.s.groups.m.Info(ctx, "", "")
	if err != nil {
		return // it is closing
	}
	for i := range infos {
		g := &infos[i]
		stream, group := strings.ToValidUTF8(g.Stream, "\ufffd"), strings.ToValidUTF8(g.Group, "\ufffd")
		if lag, ok := c.lagOf(ctx, g, f.Position); ok {
			gauge(c.groupLag, float64(lag), stream, group)
		}
		gauge(c.groupInFlight, float64(g.InFlight), stream, group)
		gauge(c.groupParked, float64(g.Parked), stream, group)
		gauge(c.groupConsumers, float64(len(g.Connections)), stream, group)
	}
}

const collectTimeout = time.Second

// lagOf counts the events behind a group's checkpoint, which is a revision or C:position/P:position.
func (c *collector) lagOf(ctx context.Context, g *persistent.Info, end uint64) (uint64, bool) {
	next := g.From // the first that is not behind it
	if g.Checkpoint != "" {
		text, _, _ := strings.Cut(strings.TrimPrefix(g.Checkpoint, "C:"), "/")
		at, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return 0, false
		}
		next = at + 1
	}
	if g.Stream != persistent.All {
		v, err := c.s.store.View(ctx, g.Stream)
		if err != nil || v.Last < 0 {
			return 0, err == nil
		}
		end = uint64(v.Last)
	}
	if next > end {
		return 0, true
	}
	if next == 0 && g.Stream == persistent.All {
		next = 1
	}
	return end + 1 - next, true
}
