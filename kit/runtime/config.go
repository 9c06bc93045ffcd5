package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daybook-dev/daybook/internal/bytesize"
	"github.com/daybook-dev/daybook/internal/topic"
)

// Config is the configuration of a process. DefaultConfig works as it is. Each field but Name, Version, Next and Topic has a setting
// (Settings).
type Config struct {
	// Name of the domain: of its data directory, its environment variables (NAME_LISTEN), its topic and its metrics, unless they are
	// given. Domains of different names can share an event store and a Kafka. Each has a Postgres database of its own.
	Name string
	// Version of the program, as it is logged, measured and kept in the event store.
	Version string
	// Next is what Banner says to do next.
	Next string
	// Topic of the domain's events; empty: NAME.events.
	Topic string

	// DataDir holds everything that is kept: the embedded servers' data, secrets, run.json.
	DataDir string
	// Listen is the API's address.
	Listen string
	// PublicURL is where clients reach the API: messages on Kafka name the schemas of events by it, requests may have its host in
	// Host, and its pages may send them. Empty: the API of this process, or of another one on the data directory, or Listen.
	PublicURL string
	// AdminListen serves metrics, health and, with Pprof, profiles.
	AdminListen string
	Pprof       bool
	// Memory is how many bytes this process aims to keep to, with the embedded Postgres; 0: a quarter of the machine's or of its control
	// group's, 1 GiB at most.
	Memory int64
	// HostNames are the names and addresses, besides localhost, by which clients call the addresses of this process: an address that
	// is forwarded to this machine, or to its container, is one. A request with another one in Host is refused.
	HostNames []string
	// Roles are what this process does; nil: all of them.
	Roles []string
	// EventStore is a connection string, esdb://…; empty: the embedded server, or the one in run.json.
	EventStore string
	// Kafka is a comma-separated list of brokers; empty likewise.
	Kafka string
	// Postgres is a URL; empty likewise.
	Postgres string
	// EventStoreListen, KafkaListen and PostgresListen are where the embedded servers listen; empty: the usual port on loopback, or a
	// free one if that is taken.
	EventStoreListen string
	KafkaListen      string
	PostgresListen   string
	// KafkaAdvertise is the address at which the embedded broker tells its clients to reach it; empty: where it listens.
	KafkaAdvertise string
	// Secrets is the directory of the installation's keys; machines of one system share it.
	Secrets string
	// AllowAnonymous lets the API listen beyond loopback although callers give no credentials.
	AllowAnonymous bool
	// LogLevel is debug, info, warn or error; LogFormat text or json.
	LogLevel  string
	LogFormat string
}

// Roles of a process that every domain has.
const (
	RoleEventStore  = "eventstore"
	RoleKafka       = "kafka"
	RolePostgres    = "postgres"
	RoleRelay       = "relay"
	RoleProjections = "projections"
	RoleSagas       = "sagas"
	RoleReactors    = "reactors"
)

// usualName is that of a Config without one.
const usualName = "daybook"

// DefaultConfig is all roles on this machine.
func DefaultConfig(name string) Config {
	return Config{
		Name: name, DataDir: defaultDataDir(name), Listen: "127.0.0.1:8080", AdminListen: "127.0.0.1:8081", LogLevel: "info", LogFormat: defaultLogFormat(),
	}
}

func (c Config) name() string { return cmp.Or(c.Name, usualName) }

// topicName is that of the domain's events.
func (c Config) topicName() string {
	if c.name() == usualName {
		return cmp.Or(c.Topic, topic.DefaultName)
	}
	return cmp.Or(c.Topic, c.Name+".events")
}

func defaultDataDir(name string) string {
	if os.Geteuid() == 0 { // Postgres runs as a user of its own, who cannot look into root's home
		return filepath.Join("/var/lib", name)
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, name)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	return filepath.Join(home, ".local", "state", name)
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

// Validate reports everything that is wrong, each by the name of its setting. roles are those of the domain.
func (c Config) Validate(roles []string) error {
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
		{"postgres-listen", c.PostgresListen}, {"kafka-advertise", c.KafkaAdvertise},
	} {
		if a.value == "" && a.setting != "listen" && a.setting != "admin-listen" {
			continue // the usual one
		}
		if err := c.CheckListen(a.setting, a.value); err != nil {
			errs = append(errs, err)
		}
	}
	if c.Roles != nil && len(c.Roles) == 0 {
		wrong("roles", "at least one is needed")
	}
	for _, r := range c.Roles {
		if !slices.Contains(roles, r) {
			wrong("roles", "%q is none of %s", r, strings.Join(roles, ", "))
		}
	}
	errs = append(errs,
		CheckURL("eventstore", c.EventStore, "esdb://", "esdb+discover://", "kurrentdb://", "kurrentdb+discover://"),
		CheckURL("postgres", c.Postgres, "postgres://", "postgresql://"),
		CheckURL("public-url", c.PublicURL, "http://", "https://"))
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
	return errors.Join(errs...)
}

// CheckListen is an error if this process may not listen at an address.
func (c Config) CheckListen(setting, address string) error {
	if host, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("%s: %q is not host:port", setting, address)
	} else if !loopback(host) && !c.AllowAnonymous {
		return fmt.Errorf("%s: %s is reachable from other machines and no keys are configured: listen on 127.0.0.1, or give --allow-anonymous", setting, address)
	}
	return nil
}

// CheckURL is an error unless a value is empty or a URL of one of the schemes.
func CheckURL(setting, value string, schemes ...string) error {
	switch address, err := url.Parse(value); {
	case value == "":
	case !slices.ContainsFunc(schemes, func(s string) bool { return strings.HasPrefix(value, s) }):
		return fmt.Errorf("%s: does not begin with %s", setting, strings.Join(schemes, " or "))
	case !strings.Contains(value, ",") && (err != nil || address.Host == "" && setting != "postgres"): // several hosts are no URL to Go
		return fmt.Errorf("%s: is not a URL that can be read", setting) // nor shown: it may hold a password
	}
	return nil
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
