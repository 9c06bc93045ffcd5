package app

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/internal/telemetry"
	"github.com/daybook-dev/daybook/sagas"
)

const taken = "taken" // stands for an address where another process listens

// effects is what each setting outside the shop does, as something that can be seen: another value is seen as something else.
var effects = map[string]struct {
	value string
	seen  func(t *testing.T, c Config) string
}{
	"data-dir":           {"/var/lib/other", func(_ *testing.T, c Config) string { return c.SecretsDir() }},
	"listen":             {taken, listening},
	"admin-listen":       {taken, listening},
	"public-url":         {"https://shop.example", schemaAddress},
	"host-names":         {"shop.example", func(t *testing.T, c Config) string { return letsIn(t, c, "shop.example") }},
	"pprof":              {"true", func(t *testing.T, c Config) string { return adminAnswers(t, c, "/debug/pprof/") }},
	"streams":            {"3", func(_ *testing.T, c Config) string { return fmt.Sprint(c.streams()) }},
	"streams-per-client": {"3", func(_ *testing.T, c Config) string { return fmt.Sprint(c.streams()) }},
	"memory":             {"512MiB", func(_ *testing.T, c Config) string { return fmt.Sprint(c.memory()) }},
	"roles":              {"kafka", func(_ *testing.T, c Config) string { return fmt.Sprint((&Node{cfg: c}).serversOnly(), needs(c.Roles)) }},
	"eventstore":         {"esdb://other:2113", reached},
	"kafka":              {"other:9092", reached},
	"postgres":           {"postgres://other/daybook", reached},
	"payment-provider":   {"https://other", reached},
	"command-api":        {"http://other", reached},
	"query-api":          {"http://other", reached},
	"eventstore-listen":  {"127.0.0.2:0", embeddedListen(RoleEventStore)},
	"kafka-listen":       {"127.0.0.2:0", embeddedListen(RoleKafka)},
	"postgres-listen":    {"127.0.0.2:0", embeddedListen(RolePostgres)},
	"simulator-listen":   {"127.0.0.2:0", embeddedListen(RoleSimulator)},
	"kafka-advertise":    {"localhost:1", kafkaAddress},
	"secrets":            {"/run/secrets", func(_ *testing.T, c Config) string { return c.SecretsDir() }},
	"allow-anonymous": {"true", func(_ *testing.T, c Config) string {
		c.Listen = "0.0.0.0:8080"
		return fmt.Sprint(c.Validate())
	}},
	"reserve-within":   {"7s", placing},
	"authorise-within": {"7s", placing},
	"action-within":    {"7s", placing},
	"provider-timeout": {"7s", func(_ *testing.T, c Config) string { return fmt.Sprint(c.provider(Addresses{})) }},
	"not-found-after":  {"7s", func(_ *testing.T, c Config) string { return c.notFoundAfter().String() }},
	"log-level":        {"debug", logged},
	"log-format":       {"json", logged},
}

// Every setting outside the shop, changed alone, changes what it says it does. A new setting without a case here fails.
func TestEverySettingHasItsEffect(t *testing.T) {
	base := map[string]string{"data-dir": t.TempDir(), "listen": "127.0.0.1:0", "admin-listen": "127.0.0.1:0", "log-format": "text"}
	load := func(name, value string) Config {
		t.Helper()
		flags := map[string]string{name: value}
		for n, v := range base {
			if n != name {
				flags[n] = v
			}
		}
		c, _, err := LoadConfig(Sources{Flags: flags})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	other, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	usual := load("data-dir", base["data-dir"])
	for _, s := range settings() {
		e, ok := effects[s.Name]
		if !ok {
			t.Errorf("nothing says what %s does", s.Name)
			continue
		}
		if e.value == taken {
			e.value = other.Addr().String()
		}
		before, after := e.seen(t, usual), e.seen(t, load(s.Name, e.value))
		if before == after {
			t.Errorf("%s %s makes no difference: %s", s.Name, e.value, before)
		}
	}
	if len(effects) != len(settings()) {
		t.Errorf("%d settings, %d effects", len(settings()), len(effects))
	}
}

// node is a process that has opened nothing.
func node(t *testing.T, c Config) *Node {
	t.Helper()
	n := &Node{cfg: c, log: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	n.health = health.New(n.log)
	var err error
	if n.http, err = telemetry.NewHTTP(n.metrics); err != nil {
		t.Fatal(err)
	}
	return n
}

// listening tells whether a process can listen.
func listening(t *testing.T, c Config) string {
	t.Helper()
	n := node(t, c)
	defer func() { _ = n.close() }()
	return fmt.Sprint(n.listen() == nil)
}

func schemaAddress(t *testing.T, c Config) string {
	t.Helper()
	n := node(t, c)
	catalog, err := NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	n.system = &System{Catalog: catalog}
	return n.schemas()("order.placed", 1)
}

// letsIn tells how a request with a Host is answered.
func letsIn(t *testing.T, c Config, host string) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Host = host
	w := httptest.NewRecorder()
	c.guard().In(http.NotFoundHandler()).ServeHTTP(w, r)
	return fmt.Sprint(w.Code)
}

func adminAnswers(t *testing.T, c Config, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	node(t, c).admin().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return fmt.Sprint(w.Code)
}

// reached is where the servers are that a process connects to.
func reached(_ *testing.T, c Config) string {
	return fmt.Sprint(configured(c))
}

func embeddedListen(role string) func(*testing.T, Config) string {
	return func(_ *testing.T, c Config) string {
		for _, s := range embeddedServers(c, secrets.Secrets{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry()) {
			if s.role == role {
				return s.listen(c)
			}
		}
		return ""
	}
}

// kafkaAddress is what an embedded broker tells its clients to connect to, but for a port that is any.
func kafkaAddress(t *testing.T, c Config) string {
	t.Helper()
	c.DataDir = t.TempDir()
	for _, s := range embeddedServers(c, secrets.Secrets{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry()) {
		if s.role != RoleKafka {
			continue
		}
		broker, err := s.start(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = broker.Close() })
		host, _, err := net.SplitHostPort(s.address(broker))
		if err != nil {
			t.Fatal(err)
		}
		return host
	}
	return ""
}

// placing is how long each step of placing an order may take, and the buyer for an action.
func placing(_ *testing.T, c Config) (said string) {
	asked := sagas.Placing{}
	asked.Payment.State = payment.ActionRequired
	for _, step := range sagas.Placement(c.deadlines()).Steps {
		if step.Deadline != nil {
			said += " " + step.Deadline(sagas.Placing{}).Within.String() + " " + step.Deadline(asked).Within.String()
		}
	}
	return said
}

func logged(t *testing.T, c Config) string {
	t.Helper()
	var b bytes.Buffer
	log, err := telemetry.NewLogger(&b, c.LogLevel, c.LogFormat)
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("details")
	log.Info("news")
	return fmt.Sprintf("%d lines that begin with %c", strings.Count(b.String(), "\n"), b.String()[0])
}
