package runtime

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/daybook-dev/daybook/internal/bytesize"
)

// Setting is one value of a configuration by the name that its flag, its environment variable and the file share.
type Setting struct {
	Name, Help string
	Field      any    // what it sets: *string, *bool, *int, *int64 (a size), *time.Duration or *[]string
	Unset      string // what an empty value means
}

// Value is a setting as it is shown, and where it came from.
type Value struct{ Name, Value, From string }

// Settings are those of every domain.
func (c *Config) Settings() []Setting {
	return []Setting{
		{"data-dir", "where everything is kept", &c.DataDir, ""},
		{"listen", "the API's address", &c.Listen, ""},
		{"public-url", "URL at which clients reach the API, named by messages on Kafka; its host is one of --host-names", &c.PublicURL, "where the API listens"},
		{"admin-listen", "address of metrics, health and profiles", &c.AdminListen, ""},
		{"host-names", "names and forwarded addresses, besides localhost, by which clients call this process, comma-separated", &c.HostNames, ""},
		{"pprof", "serve profiles of the process at --admin-listen", &c.Pprof, ""},
		{"memory", "memory that this process aims to keep to, with the embedded Postgres", &c.Memory, "a quarter of the machine's, 1GiB at most"},
		{rolesSetting, "what this process does, comma-separated", &c.Roles, ""},
		{"eventstore", "connection string of an EventStoreDB", &c.EventStore, "the embedded one"},
		{"kafka", "brokers, comma-separated", &c.Kafka, "the embedded one"},
		{"postgres", "URL of a Postgres database", &c.Postgres, "the embedded one"},
		{"eventstore-listen", "address of the embedded event store server", &c.EventStoreListen, "127.0.0.1:2113, or a free port if that is taken"},
		{"kafka-listen", "address of the embedded Kafka broker", &c.KafkaListen, "127.0.0.1:9092, or a free port if that is taken"},
		{"kafka-advertise", "address that the embedded Kafka broker gives its clients", &c.KafkaAdvertise, "where it listens"},
		{"postgres-listen", "address of the embedded Postgres", &c.PostgresListen, "127.0.0.1:5433, or a free port if that is taken"},
		{"secrets", "directory of the installation's keys", &c.Secrets, "<data-dir>/secrets"},
		{"allow-anonymous", "listen beyond loopback although callers give no credentials", &c.AllowAnonymous, ""},
		{"log-level", "debug, info, warn or error", &c.LogLevel, ""},
		{"log-format", "text or json", &c.LogFormat, ""},
	}
}

// rolesSetting is the one list of which "all", or nothing, is everything.
const rolesSetting = "roles"

// Sources is where settings come from: flag over environment over file over what they are set to.
type Sources struct {
	Name    string            // of the domain: its environment variables begin with it
	File    string            // YAML; empty: NAME_CONFIG, else none
	Environ []string          // as os.Environ gives it
	Flags   map[string]string // those that were given, by name
	// Sections are names in the file that are the caller's own.
	Sections []string
}

// Load sets all from their sources, and gives their values and what the file says. Every mistake is named with its source.
func Load(src Sources, all []Setting) ([]Value, map[string]any, error) {
	env, prefix := map[string]string{}, envName(src.Name, "")
	for _, kv := range src.Environ {
		if k, v, _ := strings.Cut(kv, "="); strings.HasPrefix(k, prefix) {
			env[k] = v
		}
	}
	path := src.path(env)
	k, err := readFile(path, all, src.Sections)
	if err != nil {
		return nil, nil, err
	}
	var out []Value
	var errs []error
	for _, s := range all {
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
			{"environment " + envName(src.Name, s.Name), func() (string, bool) { v, ok := env[envName(src.Name, s.Name)]; return v, ok }},
			{"flag --" + s.Name, func() (string, bool) { v, ok := src.Flags[s.Name]; return v, ok }},
		} {
			if v, ok := source.value(); ok {
				if err := s.assign(v); err != nil {
					errs = append(errs, fmt.Errorf("%s (%s): %w", s.Name, source.from, err))
				}
				from = source.from
			}
		}
		out = append(out, Value{s.Name, s.show(), from})
	}
	return out, k.Raw(), errors.Join(errs...)
}

// Path is the configuration file; "" if there is none.
func (s Sources) Path() string {
	env := map[string]string{}
	for _, kv := range s.Environ {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	return s.path(env)
}

func (s Sources) path(env map[string]string) string {
	return cmp.Or(s.File, env[envName(s.Name, "config")])
}

func readFile(path string, all []Setting, sections []string) (*koanf.Koanf, error) {
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
	known := map[string]bool{}
	for _, s := range sections {
		known[s] = true
	}
	for _, s := range all {
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
func fileValue(k *koanf.Koanf, s Setting) (string, bool, error) {
	if !k.Exists(s.Name) {
		return "", false, nil
	}
	switch v := k.Get(s.Name).(type) {
	case nil:
		return "", false, errors.New("has no value")
	case map[string]any:
		return "", false, errors.New("is one value, not several with names")
	case []any:
		if _, list := s.Field.(*[]string); !list && s.Name != "kafka" {
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

func envName(name, setting string) string {
	return strings.ToUpper(strings.ReplaceAll(name+"_"+setting, "-", "_"))
}

func (s Setting) assign(value string) error {
	switch f := s.Field.(type) {
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
		switch {
		case s.Name == rolesSetting && value == "all":
			*f = nil
		case s.Name == rolesSetting && *f == nil:
			*f = []string{}
		}
	}
	return nil
}

// show gives a value as users write it, or, in parentheses, what an empty one means. Passwords are hidden.
func (s Setting) show() string {
	value := ""
	switch f := s.Field.(type) {
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
		if s.Name == rolesSetting && *f == nil {
			value = "all"
		}
	}
	if value == "" && s.Unset != "" {
		return "(" + s.Unset + ")"
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

// Flags lists settings with their flags' help and defaults. name is the domain's.
func Flags(name string, all []Setting) []Flag {
	var out []Flag
	for _, s := range all {
		kind := "string"
		switch s.Field.(type) {
		case *bool:
			kind = "bool"
		case *time.Duration:
			kind = "duration"
		}
		out = append(out, Flag{s.Name, s.Help + " (" + envName(name, s.Name) + ")", cmp.Or(s.Unset, s.show()), kind})
	}
	return out
}

// Parse reads a configuration from a command line, the environment and the file that --config or NAME_CONFIG names.
func Parse(name string, args []string) (Config, error) {
	c := DefaultConfig(name)
	all := c.Settings()
	src := Sources{Name: name, Environ: os.Environ(), Flags: map[string]string{}}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.StringVar(&src.File, "config", "", "YAML file of settings ("+envName(name, "config")+")")
	for _, f := range Flags(name, all) {
		given := func(v string) error { src.Flags[f.Name] = v; return nil }
		if help := f.Help + "; default: " + f.Default; f.Kind == "bool" {
			flags.BoolFunc(f.Name, help, given)
		} else {
			flags.Func(f.Name, help, given)
		}
	}
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("%s takes settings only, not %q", name, flags.Arg(0))
	}
	_, _, err := Load(src, all)
	return c, err
}
