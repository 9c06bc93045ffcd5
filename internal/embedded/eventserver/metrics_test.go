package eventserver_test

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/embedded/eventserver"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	if err := start(t, func(cfg *eventserver.Config) { cfg.Registerer = reg }).Close(); err != nil {
		t.Fatal(err)
	}
	c := connect(t, start(t, func(cfg *eventserver.Config) { cfg.Registerer = reg })) // the registry is free again
	sub, err := c.SubscribeToAll(within(t), esdb.SubscribeToAllOptions{From: esdb.Start{}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	appendTo(t, c, "s", esdb.NoStream{}, events(3)...)
	for range 4 {
		next(t, sub)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	for name, want := range map[string]float64{"eventserver_position": 4, "eventserver_subscribers": 1, "eventserver_read_only": 0,
		"eventserver_append_seconds": 1, "eventserver_batch_seconds": 1, "eventserver_sync_seconds": 2, "eventserver_appends_refused_total": 0} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}
