package eventserver_test

import (
	"slices"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	if err := start(t, func(cfg *eventserver.Config) { cfg.Registerer = reg }).Close(); err != nil {
		t.Fatal(err)
	}
	c := connect(t, start(t, func(cfg *eventserver.Config) { cfg.Registerer = reg })) // the registry is free again
	sub, err := c.SubscribeToAll(clienttest.Within(t), esdb.SubscribeToAllOptions{From: esdb.Start{}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	clienttest.Append(t, c, "s", esdb.NoStream{}, clienttest.Events(3)...)
	for range 4 {
		clienttest.Next(t, sub)
	}
	if err := c.CreatePersistentSubscription(clienttest.Within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{StartFrom: esdb.Start{}}); err != nil {
		t.Fatal(err)
	}
	if err := c.CreatePersistentSubscriptionToAll(clienttest.Within(t), "all", esdb.PersistentAllSubscriptionOptions{StartFrom: esdb.Position{Commit: 3, Prepare: 3}}); err != nil {
		t.Fatal(err)
	}
	got := gathered(t, reg)
	for ctx := clienttest.Within(t); got["daybook_eventserver_subscribers"] != 3 && ctx.Err() == nil; { // a group begins by itself
		got = gathered(t, reg)
	}
	end := got["daybook_eventserver_position"]
	for name, want := range map[string]float64{"daybook_eventserver_position": 6, "daybook_eventserver_subscribers": 3, "daybook_eventserver_read_only": 0,
		"daybook_eventserver_append_seconds": 3, "daybook_eventserver_sync_seconds": 4, "daybook_eventserver_appends_refused_total": 0,
		"daybook_eventserver_persistent_lag{g}": 3, "daybook_eventserver_persistent_lag{all}": end - 2, "daybook_eventserver_persistent_in_flight{g}": 0,
		"daybook_eventserver_persistent_parked{g}": 0, "daybook_eventserver_persistent_consumers{g}": 0} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	for _, name := range []string{"daybook_eventserver_batch_seconds", "daybook_eventserver_batch_requests", "daybook_eventserver_batch_bytes", "daybook_eventserver_disk_bytes", "daybook_eventserver_disk_free_bytes", "daybook_eventserver_memtable_bytes"} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
}

// gathered gives the metrics' values, or how often they were observed, by name and group.
func gathered(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if len(f.GetHelp()) < 10 {
			t.Errorf("%s is not explained", f.GetName())
		}
		for _, m := range f.GetMetric() {
			name := f.GetName()
			if i := slices.IndexFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == "group" }); i >= 0 {
				name += "{" + m.GetLabel()[i].GetValue() + "}"
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

// TestSubscriberLag: a subscriber that does not read is seen to be behind, in a stream and in all.
func TestSubscriberLag(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	s := start(t, func(cfg *eventserver.Config) { cfg.Registerer = reg })
	c := connect(t, s)
	big := func() []esdb.EventData {
		es := clienttest.Events(30)
		for i := range es {
			es[i].ContentType, es[i].Data = esdb.ContentTypeBinary, make([]byte, 30_000)
		}
		return es
	}
	clienttest.Append(t, c, "s", esdb.NoStream{}, big()...)
	subscribe := map[string]func() (*esdb.Subscription, error){
		"stream": func() (*esdb.Subscription, error) {
			return c.SubscribeToStream(clienttest.Within(t), "s", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
		},
		"all": func() (*esdb.Subscription, error) {
			return c.SubscribeToAll(clienttest.Within(t), esdb.SubscribeToAllOptions{From: esdb.Start{}})
		},
	}
	for name, f := range subscribe {
		sub, err := f()
		if err != nil {
			t.Fatal(err)
		}
		for seen := 0; seen < 30; { // it keeps up
			if e := clienttest.Next(t, sub); e.Event.StreamID == "s" {
				seen++
			}
		}
		for n := 1; ; n++ { // and now it is not read
			clienttest.Append(t, c, "s", esdb.StreamExists{}, big()...)
			if lag := gathered(t, reg)["daybook_eventserver_subscriber_lag_max"]; lag > 100 {
				break
			}
			if n == 200 {
				t.Fatalf("%s: a subscriber that does not read is not seen to be behind", name)
			}
		}
		sub.Close()
	}
}
