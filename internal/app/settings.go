package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/daybook-dev/daybook/internal/bytesize"
)

// setting is one field of Config by the name that its flag, its environment variable and the file share.
type setting struct {
	Name, Help string
	field      func(*Config) any // *string, *bool, *int, *int64 (a size), *time.Duration or *[]string
	unset      string            // what an empty value stands for
}

// settings is all of Config but the shop, which only the file has.
func settings() []setting {
	return []setting{
		{"data-dir", "where everything is kept", func(c *Config) any { return &c.DataDir }, ""},
		{"listen", "the API's address", func(c *Config) any { return &c.Listen }, ""},
		{"public-url", "URL at which clients reach the API, named by messages on Kafka; its host is one of --host-names", func(c *Config) any { return &c.PublicURL }, "where the API listens"},
		{"admin-listen", "address of metrics, health and profiles", func(c *Config) any { return &c.AdminListen }, ""},
		{"host-names", "names and forwarded addresses, besides localhost, by which clients call this process, comma-separated", func(c *Config) any { return &c.HostNames }, ""},
		{"pprof", "serve profiles of the process at --admin-listen", func(c *Config) any { return &c.Pprof }, ""},
		{"streams", "event streams that may be open in all", func(c *Config) any { return &c.Streams }, ""},
		{"streams-per-client", "event streams that one client's address may have open", func(c *Config) any { return &c.StreamsPerClient }, ""},
		{"memory", "memory that this process aims to keep to, with the embedded Postgres", func(c *Config) any { return &c.Memory }, "a quarter of the machine's, 1GiB at most"},
		{"roles", "what this process does, comma-separated", func(c *Config) any { return &c.Roles }, ""},
		{"eventstore", "connection string of an EventStoreDB", func(c *Config) any { return &c.EventStore }, "the embedded one"},
		{"kafka", "brokers, comma-separated", func(c *Config) any { return &c.Kafka }, "the embedded one"},
		{"postgres", "URL of a Postgres database", func(c *Config) any { return &c.Postgres }, "the embedded one"},
		{"payment-provider", "URL of the payment provider", func(c *Config) any { return &c.PaymentProvider }, "the simulator"},
		{"command-api", "URL of the command API, for a gateway that runs alone", func(c *Config) any { return &c.CommandAPI }, ""},
		{"query-api", "URL of the query API, for a gateway that runs alone", func(c *Config) any { return &c.QueryAPI }, ""},
		{"eventstore-listen", "address of the embedded event store server", func(c *Config) any { return &c.EventStoreListen }, "127.0.0.1:2113, or a free port if that is taken"},
		{"kafka-listen", "address of the embedded Kafka broker", func(c *Config) any { return &c.KafkaListen }, "127.0.0.1:9092, or a free port if that is taken"},
		{"kafka-advertise", "address that the embedded Kafka broker gives its clients", func(c *Config) any { return &c.KafkaAdvertise }, "where it listens"},
		{"postgres-listen", "address of the embedded Postgres", func(c *Config) any { return &c.PostgresListen }, "127.0.0.1:5433, or a free port if that is taken"},
		{"simulator-listen", "address of the payment provider's simulator", func(c *Config) any { return &c.SimulatorListen }, "127.0.0.1:8082, or a free port if that is taken"},
		{"secrets", "directory of the installation's keys", func(c *Config) any { return &c.Secrets }, "<data-dir>/secrets"},
		{"allow-anonymous", "listen beyond loopback although nobody has to prove who they are", func(c *Config) any { return &c.AllowAnonymous }, ""},
		{"reserve-within", "how long placing waits for stock", func(c *Config) any { return &c.ReserveWithin }, ""},
		{"authorise-within", "how long placing waits for the payment provider", func(c *Config) any { return &c.AuthoriseWithin }, ""},
		{"action-within", "how long the buyer has for a 3-D Secure action", func(c *Config) any { return &c.ActionWithin }, ""},
		{"provider-timeout", "how long one call of the payment provider may take", func(c *Config) any { return &c.ProviderTimeout }, ""},
		{"not-found-after", "how long the provider must not know a payment before that counts", func(c *Config) any { return &c.NotFoundAfter }, "1h; 1s with the simulator"},
		{"log-level", "debug, info, warn or error", func(c *Config) any { return &c.LogLevel }, ""},
		{"log-format", "text or json", func(c *Config) any { return &c.LogFormat }, ""},
	}
}

// Sources is where a Config comes from: flag over environment over file over default.
type Sources struct {
	File    string            // YAML; empty: DAYBOOK_CONFIG, else none
	Environ []string          // as os.Environ gives it
	Flags   map[string]string // those that were given, by name
}

// Setting is a value and where it came from.
type Setting struct{ Name, Value, From string }

// LoadConfig puts a Config together and checks it. Every mistake is named with its source.
func LoadConfig(src Sources) (Config, []Setting, error) {
	c := DefaultConfig()
	env := map[string]string{}
	for _, kv := range src.Environ {
		if k, v, _ := strings.Cut(kv, "="); strings.HasPrefix(k, "DAYBOOK_") {
			env[k] = v
		}
	}
	path := src.File
	if path == "" {
		path = env["DAYBOOK_CONFIG"]
	}
	k, err := readFile(path)
	if err != nil {
		return c, nil, err
	}
	var out []Setting
	var errs []error
	for _, s := range settings() {
		from := "default"
		for _, source := range []struct {
			from  string
			value func() (string, bool)
		}{
			{"file " + path, func() (string, bool) {
				v, ok, err := fileValue(k, s)
				if err != nil {
					errs = append(errs, fmt.Errorf("%s (file %s): %w", s.Name, path, err))
				}
				return v, ok
			}},
			{"environment " + envName(s.Name), func() (string, bool) { v, ok := env[envName(s.Name)]; return v, ok }},
			{"flag --" + s.Name, func() (string, bool) { v, ok := src.Flags[s.Name]; return v, ok }},
		} {
			if v, ok := source.value(); ok {
				if err := assign(s.field(&c), v); err != nil {
					errs = append(errs, fmt.Errorf("%s (%s): %w", s.Name, source.from, err))
				}
				from = source.from
			}
		}
		out = append(out, Setting{s.Name, s.show(&c), from})
	}
	if k.Exists("shop") {
		if _, ok := k.Get("shop").(map[string]any); !ok {
			err = errors.New("has no settings below it")
		} else {
			c.Shop, err = readShop(k.Cut("shop"), c.Shop)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("file %s: shop: %w", path, err))
		}
	}
	out = append(out, shopSettings(c.Shop, k, path)...)
	if err := errors.Join(errs...); err != nil {
		return c, out, err
	}
	return c, out, c.Validate()
}

func readFile(path string) (*koanf.Koanf, error) {
	k := koanf.New(".")
	if path == "" {
		return k, nil
	}
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("config: there is no file %s", path)
		}
		return nil, fmt.Errorf("config: read %s: %w", path, err)
	}
	known := map[string]bool{"shop": true}
	for _, s := range settings() {
		known[s.Name] = true
	}
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(k.Raw())) {
		if !known[name] {
			unknown = append(unknown, name)
		}
	}
	if unknown != nil {
		return nil, fmt.Errorf("config: %s has no setting named %s", path, strings.Join(unknown, ", "))
	}
	return k, nil
}

// fileValue gives a setting as text. A list is taken where a comma-separated one is.
func fileValue(k *koanf.Koanf, s setting) (string, bool, error) {
	if !k.Exists(s.Name) {
		return "", false, nil
	}
	switch v := k.Get(s.Name).(type) {
	case nil:
		return "", false, errors.New("has no value")
	case map[string]any:
		return "", false, errors.New("is one value, not several with names")
	case []any:
		if _, list := s.field(new(Config)).(*[]string); !list && s.Name != "kafka" {
			return "", false, errors.New("is one value, not a list")
		}
		parts := make([]string, len(v))
		for i, part := range v {
			parts[i] = fmt.Sprint(part)
		}
		return strings.Join(parts, ","), true, nil
	default:
		return fmt.Sprint(v), true, nil
	}
}

func envName(name string) string {
	return "DAYBOOK_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func assign(field any, value string) error {
	switch f := field.(type) {
	case *string:
		*f = value
	case *bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", value)
		}
		*f = b
	case *int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", value)
		}
		*f = n
	case *int64:
		n, err := bytesize.Parse(value)
		if err != nil {
			return err
		}
		*f = n
	case *time.Duration:
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 30s", value)
		}
		if d <= 0 {
			return fmt.Errorf("%s is not above 0", d)
		}
		*f = d
	case *[]string:
		*f = splitList(value)
		if value == "all" {
			*f = AllRoles()
		}
	}
	return nil
}

// show gives a value as users write it, or, in parentheses, what an empty one stands for. Passwords are hidden.
func (s setting) show(c *Config) string {
	value := ""
	switch f := s.field(c).(type) {
	case *string:
		value = hidePassword(*f)
	case *bool:
		value = strconv.FormatBool(*f)
	case *int:
		value = strconv.Itoa(*f)
	case *int64:
		if *f != 0 {
			value = bytesize.Format(*f)
		}
	case *time.Duration:
		value = shortDuration(*f)
	case *[]string:
		value = strings.Join(*f, ",")
		if slices.Equal(*f, AllRoles()) {
			value = "all"
		}
	}
	if value == "" && s.unset != "" {
		return "(" + s.unset + ")"
	}
	return value
}

// shortDuration leaves out the units that are zero: 1m, not 1m0s. Zero is "".
func shortDuration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	s := d.String()
	if short, ok := strings.CutSuffix(s, "m0s"); ok {
		s = short + "m"
	}
	if short, ok := strings.CutSuffix(s, "h0m"); ok {
		s = short + "h"
	}
	return s
}

// hidePassword keeps the password of a URL out of print.
func hidePassword(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	if user, host, ok := strings.Cut(rest, "@"); ok {
		name, _, _ := strings.Cut(user, ":")
		return scheme + "://" + name + ":…@" + host
	}
	return s
}

// Flag is a setting as the command line has it.
type Flag struct {
	Name, Help, Default string
	Kind                string // bool, duration or string
}

// Flags lists the settings with their flags' help and defaults.
func Flags() []Flag {
	c := DefaultConfig()
	var out []Flag
	for _, s := range settings() {
		kind := "string"
		switch s.field(&c).(type) {
		case *bool:
			kind = "bool"
		case *time.Duration:
			kind = "duration"
		}
		out = append(out, Flag{s.Name, s.Help + " (" + envName(s.Name) + ")", cmp.Or(s.unset, s.show(&c)), kind})
	}
	return out
}
