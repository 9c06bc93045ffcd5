package app

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/internal/bytesize"
	"github.com/daybook-dev/daybook/internal/shop"
)

// Config is what a process of Daybook is told. Every field has a flag, an environment variable and a place in the file of
// the same name; DefaultConfig works as it is.
type Config struct {
	// DataDir holds everything that is kept: the embedded servers' data, secrets, run.json.
	DataDir string
	// Listen is the API's address: the gateway's, or the one API's that runs here.
	Listen string
	// PublicURL is where clients reach the API: messages on Kafka name the schemas of events by it, requests may have its host in
	// Host, and its pages may send them. Empty: the API of this process, or of another one on the data directory, or Listen.
	PublicURL string
	// AdminListen serves metrics, health and, with Pprof, profiles.
	AdminListen string
	Pprof       bool
	// Streams and StreamsPerClient bound the event streams that are open at a time.
	Streams          int
	StreamsPerClient int
	// Memory is how many bytes this process aims to keep to, with the embedded Postgres; 0: a quarter of the machine's or of its control
	// group's, 1 GiB at most.
	Memory int64
	// HostNames are the names and addresses, besides localhost, by which clients call the addresses of this process: an address that
	// is forwarded to this machine, or to its container, is one. A request with another one in Host is refused.
	HostNames []string
	// Roles are what this process does.
	Roles []string
	// EventStore is a connection string, esdb://…; empty: the embedded server, or the one in run.json.
	EventStore string
	// Kafka is a comma-separated list of brokers; empty likewise.
	Kafka string
	// Postgres is a URL; empty likewise.
	Postgres string
	// PaymentProvider is the provider's URL; empty: the simulator.
	PaymentProvider string
	// CommandAPI and QueryAPI are where a gateway finds the APIs that do not run in its own process; empty: run.json.
	CommandAPI string
	QueryAPI   string
	// EventStoreListen, KafkaListen, PostgresListen and SimulatorListen are where the embedded servers listen; empty: the usual port
	// on loopback, or a free one if that is taken.
	EventStoreListen string
	KafkaListen      string
	PostgresListen   string
	SimulatorListen  string
	// KafkaAdvertise is the address at which the embedded broker tells its clients to reach it; empty: where it listens.
	KafkaAdvertise string
	// Secrets is the directory of the installation's keys; machines of one system share it.
	Secrets string
	// AllowAnonymous lets the API listen beyond loopback although nobody has to prove who they are.
	AllowAnonymous bool
	// ReserveWithin and AuthoriseWithin bound the steps of placing an order, ActionWithin what the buyer has to do; zero: 30 s,
	// 1 min, 15 min.
	ReserveWithin   time.Duration
	AuthoriseWithin time.Duration
	ActionWithin    time.Duration
	// ProviderTimeout bounds one call of the payment provider; zero: 10 s.
	ProviderTimeout time.Duration
	// NotFoundAfter is how long a provider must say that it knows nothing of a payment before that counts; zero: 1 h, and
	// 1 s with the simulator on this data directory, whose ledger forgets nothing.
	NotFoundAfter time.Duration
	// LogLevel is debug, info, warn or error; LogFormat text or json.
	LogLevel  string
	LogFormat string
	// Shop is the business' own configuration.
	Shop order.Shop
}

// Roles of a process.
const (
	RoleEventStore  = "eventstore"
	RoleKafka       = "kafka"
	RolePostgres    = "postgres"
	RoleSimulator   = "simulator"
	RoleRelay       = "relay"
	RoleProjections = "projections"
	RoleSagas       = "sagas"
	RoleReactors    = "reactors"
	RoleCommandAPI  = "command-api"
	RoleQueryAPI    = "query-api"
	RoleGateway     = "gateway"
)

// AllRoles is every role, in the order in which they start.
func AllRoles() []string {
	return []string{
		RoleEventStore, RoleKafka, RolePostgres, RoleSimulator,
		RoleRelay, RoleProjections, RoleSagas, RoleReactors, RoleCommandAPI, RoleQueryAPI, RoleGateway,
	}
}

// DefaultConfig is all roles on this machine.
func DefaultConfig() Config {
	dir := defaultDataDir()
	return Config{
		DataDir: dir, Listen: "127.0.0.1:8080", AdminListen: "127.0.0.1:8081",
		ReserveWithin: 30 * time.Second, AuthoriseWithin: time.Minute, ActionWithin: 15 * time.Minute, ProviderTimeout: 10 * time.Second,
		Streams: shop.DefaultLimits.Streams, StreamsPerClient: shop.DefaultLimits.PerClient,
		Roles: AllRoles(), LogLevel: "info", LogFormat: defaultLogFormat(), Shop: order.DefaultShop(),
	}
}

func defaultDataDir() string {
	if os.Geteuid() == 0 { // Postgres runs as a user of its own, who cannot look into root's home
		return "/var/lib/daybook"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "daybook")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	return filepath.Join(home, ".local", "state", "daybook")
}

func defaultLogFormat() string {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		return "text"
	}
	return "json"
}

// Has tells whether this process has a role.
func (c Config) Has(role string) bool { return slices.Contains(c.Roles, role) }

// SecretsDir is Secrets, or its default below the data directory.
func (c Config) SecretsDir() string {
	if c.Secrets != "" {
		return c.Secrets
	}
	return filepath.Join(c.DataDir, "secrets")
}

// Validate reports everything that is wrong, each by the name of its setting.
func (c Config) Validate() error {
	var errs []error
	wrong := func(setting, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", setting, fmt.Sprintf(format, args...)))
	}
	if !filepath.IsAbs(c.DataDir) {
		wrong("data-dir", "%q is not an absolute path", c.DataDir)
	}
	if c.Memory != 0 && c.Memory < leastMemory {
		wrong("memory", "%s is too little, it takes %s at least", bytesize.Format(c.Memory), bytesize.Format(leastMemory))
	}
	for _, a := range []struct{ setting, value string }{
		{"listen", c.Listen}, {"admin-listen", c.AdminListen}, {"eventstore-listen", c.EventStoreListen}, {"kafka-listen", c.KafkaListen},
		{"postgres-listen", c.PostgresListen}, {"simulator-listen", c.SimulatorListen}, {"kafka-advertise", c.KafkaAdvertise},
	} {
		if a.value == "" && a.setting != "listen" && a.setting != "admin-listen" {
			continue // the usual one
		}
		if host, _, err := net.SplitHostPort(a.value); err != nil {
			wrong(a.setting, "%q is not host:port", a.value)
		} else if !loopback(host) && !c.AllowAnonymous {
			wrong(a.setting, "%s is reachable from other machines and no keys are configured: listen on 127.0.0.1, or give --allow-anonymous", a.value)
		}
	}
	if len(c.Roles) == 0 {
		wrong("roles", "at least one is needed")
	}
	for _, r := range c.Roles {
		if !slices.Contains(AllRoles(), r) {
			wrong("roles", "%q is none of %s", r, strings.Join(AllRoles(), ", "))
		}
	}
	for _, u := range []struct{ setting, value, scheme string }{
		{"eventstore", c.EventStore, "esdb://|esdb+discover://|kurrentdb://|kurrentdb+discover://"},
		{"postgres", c.Postgres, "postgres://|postgresql://"},
		{"payment-provider", c.PaymentProvider, "http://|https://"},
		{"command-api", c.CommandAPI, "http://|https://"},
		{"query-api", c.QueryAPI, "http://|https://"},
		{"public-url", c.PublicURL, "http://|https://"},
	} {
		schemes := strings.Split(u.scheme, "|")
		switch address, err := url.Parse(u.value); {
		case u.value == "":
		case !slices.ContainsFunc(schemes, func(s string) bool { return strings.HasPrefix(u.value, s) }):
			wrong(u.setting, "does not begin with %s", strings.Join(schemes, " or "))
		case !strings.Contains(u.value, ",") && (err != nil || address.Host == "" && u.setting != "postgres"): // several hosts are no URL to Go
			wrong(u.setting, "is not a URL that can be read") // nor shown: it may hold a password
		}
	}
	for _, d := range []struct {
		setting string
		value   time.Duration
	}{{"reserve-within", c.ReserveWithin}, {"authorise-within", c.AuthoriseWithin}, {"action-within", c.ActionWithin}, {"not-found-after", c.NotFoundAfter}, {"provider-timeout", c.ProviderTimeout}} {
		if d.value < 0 {
			wrong(d.setting, "%s is below 0", d.value)
		}
	}
	if c.Streams < 1 || c.StreamsPerClient < 1 {
		wrong("streams", "%d in all and %d per client (--streams-per-client): neither can be below 1", c.Streams, c.StreamsPerClient)
	}
	for _, b := range splitList(c.Kafka) {
		if _, _, err := net.SplitHostPort(b); err != nil {
			wrong("kafka", "%q is not host:port", b)
		}
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		wrong("log-level", "%q is none of debug, info, warn, error", c.LogLevel)
	}
	if !slices.Contains([]string{"text", "json"}, c.LogFormat) {
		wrong("log-format", "%q is neither text nor json", c.LogFormat)
	}
	if err := c.Shop.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func splitList(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
