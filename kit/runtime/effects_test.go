package runtime

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/internal/telemetry"
)

const taken = "taken" // stands for an address where another process listens

// effects is what each setting does, as something that can be seen: another value is seen as something else.
var effects = map[string]struct {
	value string
	seen  func(t *testing.T, c Config) string
}{
	"data-dir":     {"/var/lib/other", func(_ *testing.T, c Config) string { return c.SecretsDir() }},
	"listen":       {taken, listening},
	"admin-listen": {taken, listening},
	"public-url":   {"https://shop.example", schemaAddress},
	"host-names":   {"shop.example", func(t *testing.T, c Config) string { return letsIn(t, c, "shop.example") }},
	"pprof":        {"true", func(t *testing.T, c Config) string { return adminAnswers(t, c, "/debug/pprof/") }},
	"memory":       {"512MiB", func(_ *testing.T, c Config) string { return fmt.Sprint(c.memory()) }},
	"roles": {"kafka", func(_ *testing.T, c Config) string {
		return fmt.Sprint((&Node{cfg: c}).serversOnly(), Domain{}.needs(c.Roles))
	}},
	"eventstore":        {"esdb://other:2113", reached},
	"kafka":             {"other:9092", reached},
	"postgres":          {"postgres://other/daybook", reached},
	"eventstore-listen": {"127.0.0.2:0", embeddedListen(RoleEventStore)},
	"kafka-listen":      {"127.0.0.2:0", embeddedListen(RoleKafka)},
	"postgres-listen":   {"127.0.0.2:0", embeddedListen(RolePostgres)},
	"kafka-advertise":   {"localhost:1", kafkaAddress},
	"secrets":           {"/run/secrets", func(_ *testing.T, c Config) string { return c.SecretsDir() }},
	"allow-anonymous": {"true", func(_ *testing.T, c Config) string {
		c.Listen = "0.0.0.0:8080"
		return fmt.Sprint(c.Validate(Domain{}.Roles()))
	}},
	"log-level":  {"debug", logged},
	"log-format": {"json", logged},
}

// Every setting, changed alone, changes what it says it does. A new setting without a case here fails.
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
		c := DefaultConfig(usualName)
		if _, _, err := Load(Sources{Name: usualName, Flags: flags}, c.Settings()); err != nil {
			t.Fatal(err)
		}
		if c.Roles == nil {
			c.Roles = Domain{}.Roles()
		}
		return c
	}
	other, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	usual := load("data-dir", base["data-dir"])
	for _, s := range new(Config).Settings() {
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
	if len(effects) != len(new(Config).Settings()) {
		t.Errorf("%d settings, %d effects", len(new(Config).Settings()), len(effects))
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
	return strconv.FormatBool(n.listen() == nil)
}

func schemaAddress(t *testing.T, c Config) string {
	t.Helper()
	n := node(t, c)
	catalog, err := Domain{}.AllEvents()
	if err != nil {
		t.Fatal(err)
	}
	n.system = &System{Catalog: catalog}
	n.domain.SchemaPath = func(eventType string, _ int) string { return "/" + eventType }
	return n.schemas()("saga.stepped", 1)
}

// letsIn tells how a request with a Host is answered.
func letsIn(t *testing.T, c Config, host string) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Host = host
	w := httptest.NewRecorder()
	(&Node{cfg: c}).guard().In(http.NotFoundHandler()).ServeHTTP(w, r)
	return strconv.Itoa(w.Code)
}

func adminAnswers(t *testing.T, c Config, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	node(t, c).admin().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return strconv.Itoa(w.Code)
}

// reached is where the servers are that a process connects to.
func reached(_ *testing.T, c Config) string {
	return fmt.Sprint(configured(Domain{}, c))
}

func embeddedListen(role string) func(*testing.T, Config) string {
	return func(_ *testing.T, c Config) string {
		for _, s := range embeddedServers(Domain{}, c, secrets.Secrets{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry()) {
			if s.role == role {
				return s.listen
			}
		}
		return ""
	}
}

// kafkaAddress is what an embedded broker tells its clients to connect to, but for a port that is any.
func kafkaAddress(t *testing.T, c Config) string {
	t.Helper()
	c.DataDir = t.TempDir()
	for _, s := range embeddedServers(Domain{}, c, secrets.Secrets{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry()) {
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
