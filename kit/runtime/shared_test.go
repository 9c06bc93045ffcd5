package runtime_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/embedded/kafkaserver"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/eventserver/eventservertest"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/kit/runtime"
)

// Two domains: inns and bars open.
type (
	InnOpened struct{}
	BarOpened struct{}
	Inn       struct{}
	Bar       struct{}
	OpenInn   struct{ ID string }
	OpenBar   struct{ ID string }
	row       struct {
		Open bool `db:"open"`
	}
)

func (InnOpened) EventType() string { return "inn.opened" }
func (BarOpened) EventType() string { return "bar.opened" }
func (*Inn) Category() string       { return "inn" }
func (*Bar) Category() string       { return "bar" }
func (*Inn) Evolve(es.Event)        {}
func (*Bar) Evolve(es.Event)        {}

func (OpenInn) CommandType() string            { return "inn.open" }
func (OpenBar) CommandType() string            { return "bar.open" }
func (c OpenInn) Key() string                  { return c.ID }
func (c OpenBar) Key() string                  { return c.ID }
func (OpenInn) Decide(Inn) ([]es.Event, error) { return es.Facts(InnOpened{}) }
func (OpenBar) Decide(Bar) ([]es.Event, error) { return es.Facts(BarOpened{}) }

func table[E es.Event](name string) projection.Table[row] {
	return projection.Table[row]{
		Name: name, Version: 1, Stream: name, History: true, Schema: "create table " + name + " (like engine, open boolean not null)",
		On: []projection.Fold[row]{projection.On(func(r *row, _ E, _ es.Recorded) { r.Open = true })},
	}
}

// opens runs a domain and gives its services, a view of its read model, what its admin listener answers, and what the doctor finds.
func opens[E es.Event](t *testing.T, name, store, brokers string) (*runtime.Services, query.View, func(path string) (*http.Response, string), func() *doctor.Report) {
	t.Helper()
	var services *runtime.Services
	var view query.View
	d := runtime.Domain{
		Catalog: []es.Definition{es.Define[E](1)}, Projections: []projection.Projection{table[E](name)},
		Routes: func(s *runtime.Services) (_ http.Handler, err error) {
			services = s
			view, err = s.Views.View(table[E](name))
			return http.NotFoundHandler(), err
		},
	}
	cfg := runtime.DefaultConfig(name)
	cfg.DataDir, cfg.EventStore, cfg.Kafka, cfg.Postgres = t.TempDir(), store, brokers, postgrestest.URL(t)
	cfg.Listen, cfg.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	node, err := runtime.Start(t.Context(), d, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := node.Ready(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	examined := func() *doctor.Report {
		r, err := runtime.Examine(t.Context(), d, cfg, slog.New(slog.DiscardHandler), runtime.ExamineOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	ask := func(path string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, node.Addresses().Admin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close() //nolint:errcheck // read to its end
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, string(b)
	}
	return services, view, ask, examined
}

// shows waits until a read model has reached a position, and tells how many rows it has.
func shows(t *testing.T, view query.View, name string, position uint64) int {
	t.Helper()
	rows, _, err := query.All[row](t.Context(), view, query.Ask{MinPosition: position, Wait: time.Minute}, "select open from {"+name+"}")
	if err != nil {
		t.Fatal(err)
	}
	return len(rows)
}

// Two domains share an event store, a Kafka and a Postgres server. Each has its own topic, metrics and rows, and passes over the events of
// the other one.
func TestDomainsShareServers(t *testing.T) {
	t.Parallel()
	broker, err := kafkaserver.Start(t.Context(), kafkaserver.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	store := eventservertest.Start(t)
	inns, allInns, ofInns, innsExamined := opens[InnOpened](t, "inn", store, broker.Addr())
	bars, allBars, ofBars, barsExamined := opens[BarOpened](t, "bar", store, broker.Addr())

	first, err := es.Handle[Inn](t.Context(), inns.Handler, OpenInn{"a"}, es.Call{})
	if err != nil {
		t.Fatal(err)
	}
	last, err := es.Handle[Bar](t.Context(), bars.Handler, OpenBar{"a"}, es.Call{})
	if err != nil {
		t.Fatal(err)
	}
	if n := shows(t, allInns, "inn", first.Position) + shows(t, allInns, "inn", last.Position); n != 2 {
		t.Errorf("%d inns in two looks", n)
	}
	if n := shows(t, allBars, "bar", last.Position); n != 1 {
		t.Errorf("%d bars", n)
	}
	for name, of := range map[string]func(string) (*http.Response, string){"inn": ofInns, "bar": ofBars} {
		_, said := of("/metrics")
		if !strings.Contains(said, "\n"+name+"_build_info") || strings.Contains(said, "\ndaybook_") {
			t.Errorf("metrics of %s: %s", name, said)
		}
	}
	for name, r := range map[string]*doctor.Report{"inn": innsExamined(), "bar": barsExamined()} {
		if !r.Healthy || !r.AtRest || r.Checked["events of others"] != 1 || r.Checked["kafka records"] == 0 || r.Checked["rows"] != 1 {
			t.Errorf("the doctor on %s: looked at %v, found %v, moving %v, skipped %v", name, r.Checked, r.Findings, r.Moving, r.Skipped)
		}
	}
	adminAPI(t, ofInns, first.Position)
	parksAndSkips(t, store, allInns, ofInns)
	all, err := (&kafka.Client{Addr: kafka.TCP(broker.Addr())}).Metadata(t.Context(), &kafka.MetadataRequest{})
	if err != nil {
		t.Fatal(err)
	}
	topics := map[string]bool{}
	for _, topic := range all.Topics {
		topics[topic.Name] = true
	}
	if !topics["inn.events"] || !topics["bar.events"] || topics["daybook.events"] {
		t.Errorf("topics %v", topics)
	}
}
