package feed

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Parts of a feed's health: what keeps all of it from working.
const (
	atGroup       = "group"
	atTopic       = "topic"
	atCheckpoints = "checkpoints"
)

// activity is what a partition does again and again. Each has a health value of its own, set and cleared by the same look.
type activity string

const (
	fetching activity = "fetch"
	applying activity = "apply"
	healing  activity = "heal"
	looking  activity = "look"
	reaching activity = "checkpoint" // whether the log reaches it
	history  activity = "history"    // of the topic: once wrong, until the process is started again
)

func activities() []activity {
	return []activity{fetching, applying, healing, looking, reaching, history}
}

func part(partition int, a activity) string { return fmt.Sprintf("partition %d, %s", partition, a) }

// rejoinWithin is how long a rebalance may take before a feed that belongs to no generation says so.
const rejoinWithin = sessionTimeout + rebalanceTimeout + time.Second

// member notes since when the feed has belonged to no generation of its group; zero: it does.
func (f *Feed) member(left time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = left
}

func (f *Feed) membership() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left.IsZero() || time.Since(f.left) < rejoinWithin {
		return nil
	}
	return fmt.Errorf("not a member of group %s since %s", f.cfg.Group, f.left.UTC().Format(time.RFC3339))
}

// unanswered names the partition whose try to apply events has had no answer for longest, if that is too long.
func (f *Feed) unanswered() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	longest := f.cfg.Unanswered
	for id, p := range f.owns {
		began := p.trying.Load()
		if began == 0 {
			continue
		}
		if waits := time.Since(time.UnixMicro(began)); waits > longest {
			longest, err = waits, fmt.Errorf("partition %d: applying events has had no answer for %s", id, waits.Round(time.Second))
		}
	}
	return err
}

// own notes which partitions this process works on; nil: not any more.
func (f *Feed) own(id int, p *partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p == nil {
		delete(f.owns, id)
		return
	}
	f.owns[id] = p
}

type metrics struct {
	live, healed, duplicates, heals, failures prometheus.Counter
	refused                                   *prometheus.CounterVec
}

// lags reports how far each partition of this process is behind the head.
type lags struct {
	feed            *Feed
	events, seconds *prometheus.Desc
}

func newLags(f *Feed) lags {
	labels := prometheus.Labels{"consumer": f.cfg.Consumer.Name()}
	return lags{
		feed:    f,
		events:  prometheus.NewDesc("daybook_feed_lag_events", "Events that the relay has published and the consumer has not applied.", []string{"partition"}, labels),
		seconds: prometheus.NewDesc("daybook_feed_lag_seconds", "Age of the oldest event that is known and not applied; 0 at the head.", []string{"partition"}, labels),
	}
}

// Describe implements prometheus.Collector.
func (l lags) Describe(to chan<- *prometheus.Desc) { to <- l.events; to <- l.seconds }

// Collect implements prometheus.Collector.
func (l lags) Collect(to chan<- prometheus.Metric) {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	for id, p := range l.feed.owns {
		age := 0.0
		if oldest := p.oldest.Load(); oldest > 0 {
			age = max(time.Since(time.UnixMicro(oldest)).Seconds(), 0)
		}
		to <- prometheus.MustNewConstMetric(l.events, prometheus.GaugeValue, float64(p.lag.Load()), strconv.Itoa(id))
		to <- prometheus.MustNewConstMetric(l.seconds, prometheus.GaugeValue, age, strconv.Itoa(id))
	}
}

func newMetrics(reg prometheus.Registerer, consumer string) metrics {
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "daybook_feed_events_total", Help: "Events applied, by where they were read.",
		ConstLabels: prometheus.Labels{"consumer": consumer},
	}, []string{"source"})
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{
			Name: "daybook_feed_" + name + "_total", Help: help, ConstLabels: prometheus.Labels{"consumer": consumer},
		})
		if reg != nil {
			reg.MustRegister(c)
		}
		return c
	}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "daybook_feed_refused_total", Help: "Messages that are not the relay's and were skipped, by reason.",
		ConstLabels: prometheus.Labels{"consumer": consumer},
	}, []string{"reason"})
	for _, reason := range refusals() {
		refused.WithLabelValues(reason)
	}
	if reg != nil {
		reg.MustRegister(events, refused)
	}
	return metrics{
		live: events.WithLabelValues("kafka"), healed: events.WithLabelValues("store"),
		duplicates: counter("duplicates", "Messages skipped because their event had been applied."),
		heals:      counter("heals", "Holes that were filled from the event store."),
		failures:   counter("failures", "Failed tries to apply events."),
		refused:    refused,
	}
}
