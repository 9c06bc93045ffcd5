package runtime

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/reader"
)

// lagsWithin bounds what reading them may add to an answer of /metrics: in an outage the other figures must still be in time.
const lagsWithin = 2 * time.Second

// lags are how far the read models are behind the head of the log, looked up whenever they are asked for.
type lags struct{ node *Node }

var (
	lagEvents  = prometheus.NewDesc("daybook_projection_lag_events", "Events that are recorded and not applied to the read model; far behind the head of the log, at least so many.", []string{"projection", "partition"}, nil)
	lagSeconds = prometheus.NewDesc("daybook_projection_lag_seconds", "Age of the oldest event that is recorded and not applied to the read model; 0 at the head of the log.", []string{"projection", "partition"}, nil)
)

// Describe implements prometheus.Collector.
func (l lags) Describe(to chan<- *prometheus.Desc) { to <- lagEvents; to <- lagSeconds }

// Collect implements prometheus.Collector.
func (l lags) Collect(to chan<- prometheus.Metric) {
	if l.node.system == nil || len(l.node.domain.Projections) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lagsWithin)
	defer cancel()
	all, err := l.node.lags(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(lagSeconds, err)
		return
	}
	now := time.Now()
	for _, m := range all.Models {
		for p, one := range m.Parts {
			to <- prometheus.MustNewConstMetric(lagEvents, prometheus.GaugeValue, float64(one.Events), m.Name, strconv.Itoa(p))
			to <- prometheus.MustNewConstMetric(lagSeconds, prometheus.GaugeValue, one.Behind(now).Seconds(), m.Name, strconv.Itoa(p))
		}
	}
}

var errNoSystem = errors.New("this process runs embedded servers only, and knows no read models")

func (n *Node) lags(ctx context.Context) (reader.Lags, error) {
	if n.system == nil {
		return reader.Lags{}, errNoSystem
	}
	return n.system.Reader.Lags(ctx, n.system.Store, n.domain.Projections...)
}

// States of a read model, or of one partition of it.
const (
	stateCurrent    = "current"    // nothing is recorded that is not applied
	stateBehind     = "behind"     // something is
	stateRebuilding = "rebuilding" // no build of a version that this program knows serves
)

// ProjectionStatus is how far one read model is.
type ProjectionStatus struct {
	Name       string            `json:"name"`
	Version    int               `json:"version,omitempty"` // that serves
	State      string            `json:"state"`
	Events     int               `json:"events"`  // of all partitions
	Seconds    float64           `json:"seconds"` // of the partition that is furthest behind
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus is how far one partition of it is.
type PartitionStatus struct {
	Partition int     `json:"partition"`
	Position  string  `json:"position"`
	State     string  `json:"state"`
	Events    int     `json:"events"`
	Seconds   float64 `json:"seconds"`
}

// Projections is the answer to GET /admin/v1/projections.
type Projections struct {
	Head     string             `json:"head"`
	Complete bool               `json:"complete"`
	Items    []ProjectionStatus `json:"items"`
}

// shownLags are lags as the admin API has them.
func shownLags(all reader.Lags, now time.Time) Projections {
	out := Projections{Head: strconv.FormatUint(all.Head, 10), Complete: all.All, Items: make([]ProjectionStatus, len(all.Models))}
	for i, m := range all.Models {
		s := ProjectionStatus{Name: m.Name, Version: m.Version, State: stateCurrent, Partitions: make([]PartitionStatus, len(m.Parts))}
		for p, one := range m.Parts {
			part := PartitionStatus{
				Partition: p, Position: strconv.FormatUint(one.Position, 10), State: stateCurrent, Events: one.Events, Seconds: one.Behind(now).Round(time.Millisecond).Seconds(),
			}
			if part.Events > 0 {
				part.State = stateBehind
			}
			s.Partitions[p], s.Events, s.Seconds = part, s.Events+part.Events, max(s.Seconds, part.Seconds)
		}
		switch {
		case !m.Known:
			s.State = stateRebuilding
		case slices.ContainsFunc(s.Partitions, func(p PartitionStatus) bool { return p.State == stateBehind }):
			s.State = stateBehind
		}
		out.Items[i] = s
	}
	return out
}
