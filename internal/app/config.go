package app

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/kit/runtime"
)

// Config is how a process of Daybook is set up. Every field has a flag, an environment variable and a place in the file of
// the same name; DefaultConfig works as it is.
type Config struct {
	runtime.Config

	// Streams and StreamsPerClient bound the event streams that are open at a time.
	Streams          int
	StreamsPerClient int
	// PaymentProvider is the provider's URL; empty: the simulator.
	PaymentProvider string
	// SimulatorListen is where the simulator listens; empty: the usual port on loopback, or a free one if that is taken.
	SimulatorListen string
	// CommandAPI and QueryAPI are where a gateway finds the APIs that do not run in its own process; empty: run.json.
	CommandAPI string
	QueryAPI   string
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
	// Shop is the business' own configuration.
	Shop order.Shop
}

// Roles of the shop, beside those of every domain.
const (
	RoleEventStore  = runtime.RoleEventStore
	RoleKafka       = runtime.RoleKafka
	RolePostgres    = runtime.RolePostgres
	RoleSimulator   = "simulator"
	RoleRelay       = runtime.RoleRelay
	RoleProjections = runtime.RoleProjections
	RoleSagas       = runtime.RoleSagas
	RoleReactors    = runtime.RoleReactors
	RoleCommandAPI  = "command-api"
	RoleQueryAPI    = "query-api"
	RoleGateway     = "gateway"
)

// AllRoles is every role, in the order in which they start.
func AllRoles() []string { return domain(Config{}).Roles() }

const name = "daybook"

// DefaultConfig is all roles on this machine.
func DefaultConfig() Config {
	c := usual()
	c.Roles = AllRoles()
	return c
}

// usual is DefaultConfig without roles, which stands for all of them.
func usual() Config {
	c := Config{
		Config:        runtime.DefaultConfig(name),
		ReserveWithin: 30 * time.Second, AuthoriseWithin: time.Minute, ActionWithin: 15 * time.Minute, ProviderTimeout: 10 * time.Second,
		Streams: shop.DefaultLimits.Streams, StreamsPerClient: shop.DefaultLimits.PerClient, Shop: order.DefaultShop(),
	}
	c.Next = "the tour in README.md, or  daybook import online-retail FILE"
	return c
}

// settings are all of Config but the shop, which only the file has.
func (c *Config) settings() []runtime.Setting {
	all := c.Settings()
	for _, own := range []struct {
		after string
		runtime.Setting
	}{
		{"pprof", runtime.Setting{Name: "streams", Help: "event streams that may be open in all", Field: &c.Streams}},
		{"streams", runtime.Setting{Name: "streams-per-client", Help: "event streams that one client's address may have open", Field: &c.StreamsPerClient}},
		{"postgres", runtime.Setting{Name: "payment-provider", Help: "URL of the payment provider", Field: &c.PaymentProvider, Unset: "the simulator"}},
		{"payment-provider", runtime.Setting{Name: "command-api", Help: "URL of the command API, for a gateway that runs alone", Field: &c.CommandAPI}},
		{"command-api", runtime.Setting{Name: "query-api", Help: "URL of the query API, for a gateway that runs alone", Field: &c.QueryAPI}},
		{"postgres-listen", runtime.Setting{
			Name: "simulator-listen", Help: "address of the payment provider's simulator", Field: &c.SimulatorListen,
			Unset: "127.0.0.1:8082, or a free port if that is taken",
		}},
		{"allow-anonymous", runtime.Setting{Name: "reserve-within", Help: "how long placing waits for stock", Field: &c.ReserveWithin}},
		{"reserve-within", runtime.Setting{Name: "authorise-within", Help: "how long placing waits for the payment provider", Field: &c.AuthoriseWithin}},
		{"authorise-within", runtime.Setting{Name: "action-within", Help: "how long the buyer has for a 3-D Secure action", Field: &c.ActionWithin}},
		{"action-within", runtime.Setting{Name: "provider-timeout", Help: "how long one call of the payment provider may take", Field: &c.ProviderTimeout}},
		{"provider-timeout", runtime.Setting{
			Name: "not-found-after", Help: "how long the provider must not know a payment before that counts", Field: &c.NotFoundAfter, Unset: "1h; 1s with the simulator",
		}},
	} {
		at := slices.IndexFunc(all, func(s runtime.Setting) bool { return s.Name == own.after })
		all = slices.Insert(all, at+1, own.Setting)
	}
	return all
}

// Flags lists the settings with their flags' help and defaults.
func Flags() []runtime.Flag {
	c := usual()
	return runtime.Flags(name, c.settings())
}

const section = "shop"

// LoadConfig puts a Config together and checks it. Every mistake is named with its source.
func LoadConfig(src runtime.Sources) (Config, []runtime.Value, error) {
	c := usual()
	src.Name, src.Sections = name, []string{section}
	out, file, err := runtime.Load(src, c.settings())
	if out == nil {
		return c, nil, err
	}
	own := map[string]any{}
	if given, ok := file[section]; ok {
		if own, ok = given.(map[string]any); !ok {
			err = errors.Join(err, fmt.Errorf("file %s: shop: has no settings below it", src.Path()))
		} else if read, wrong := readShop(own, c.Shop); wrong != nil {
			err = errors.Join(err, fmt.Errorf("file %s: shop: %w", src.Path(), wrong))
		} else {
			c.Shop = read
		}
	}
	out = append(out, shopSettings(c.Shop, own, src.Path())...)
	if c.Roles == nil {
		c.Roles = AllRoles()
	}
	if err != nil {
		return c, out, err
	}
	return c, out, c.Validate()
}

// Validate reports everything that is wrong, each by the name of its setting.
func (c Config) Validate() error {
	errs := []error{
		c.Config.Validate(AllRoles()),
		runtime.CheckURL("payment-provider", c.PaymentProvider, "http://", "https://"),
		runtime.CheckURL("command-api", c.CommandAPI, "http://", "https://"),
		runtime.CheckURL("query-api", c.QueryAPI, "http://", "https://"),
	}
	if c.SimulatorListen != "" {
		errs = append(errs, c.CheckListen("simulator-listen", c.SimulatorListen))
	}
	for _, d := range []struct {
		setting string
		value   time.Duration
	}{{"reserve-within", c.ReserveWithin}, {"authorise-within", c.AuthoriseWithin}, {"action-within", c.ActionWithin}, {"not-found-after", c.NotFoundAfter}, {"provider-timeout", c.ProviderTimeout}} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("%s: %s is below 0", d.setting, d.value))
		}
	}
	if c.Streams < 1 || c.StreamsPerClient < 1 {
		errs = append(errs, fmt.Errorf("streams: %d in all and %d per client (--streams-per-client): neither can be below 1", c.Streams, c.StreamsPerClient))
	}
	return errors.Join(append(errs, c.Shop.Validate())...)
}
