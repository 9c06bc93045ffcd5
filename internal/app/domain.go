package app

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/checks"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/embedded/simulator"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/reactor"
	"github.com/daybook-dev/daybook/kit/runtime"
	"github.com/daybook-dev/daybook/reactors/paymentprovider"
	"github.com/daybook-dev/daybook/sagas"
)

// Names in run.json.
const (
	atCommandAPI = "command_api"
	atQueryAPI   = "query_api"
	atProvider   = "payment_provider"
)

// domain is the shop.
func domain(c Config) runtime.Domain {
	return runtime.Domain{
		Catalog:     events.Catalog(),
		Projections: Projections(),
		Sagas:       sagas.All(c.deadlines()),
		Reactors: []runtime.Reactor{{
			Name: paymentprovider.Name, Within: c.ProviderTimeout, New: func(s *runtime.Services) (reactor.Reactor, error) { return newPayments(c, s) },
		}},
		Routes: func(s *runtime.Services) (http.Handler, error) { return routes(c, s) },
		APIs: []runtime.API{
			{Role: RoleCommandAPI, Address: atCommandAPI, Decides: true},
			{Role: RoleQueryAPI, Address: atQueryAPI, Reads: true},
			{Role: RoleGateway, Address: "api"},
		},
		Elsewhere: map[string]string{atCommandAPI: c.CommandAPI, atQueryAPI: c.QueryAPI},
		Servers: []runtime.Server{{
			Role: RoleSimulator, Label: "payments", Port: "8082", Elsewhere: c.PaymentProvider, Listen: c.SimulatorListen, Address: atProvider,
			Start: func(ctx context.Context, at runtime.Place) (runtime.Running, error) {
				return simulator.Start(ctx, simulator.Config{Dir: at.Dir, Listen: at.Listen, HostNames: at.HostNames, Logger: at.Logger, Registerer: at.Registerer})
			},
		}},
		Checks: func(at runtime.Addresses) []doctor.Check {
			if c.PaymentProvider != "" { // it has no such ledger
				return checks.All("")
			}
			return checks.All(at.Get(atProvider))
		},
		Lost:       amend,
		Document:   "/openapi.yaml",
		SchemaPath: api.SchemaPath,
		Problems:   runtime.Problems{Refuse: api.Refuse, Unread: api.Unread},
		Fronted:    true,
	}
}

func newPayments(c Config, s *runtime.Services) (reactor.Reactor, error) {
	at := s.Addresses.Get(atProvider)
	if at == "" {
		return nil, fmt.Errorf("no address is known of the payment provider: give --payment-provider, or run the role %s", RoleSimulator)
	}
	client, err := paymentprovider.NewClient(c.provider(at))
	if err != nil {
		return nil, err
	}
	s.OnClose(client.Close)
	s.Probe("payment-provider", "lookup", client.Check)
	return paymentprovider.New(paymentprovider.Config{
		Provider: crashing{client}, Handler: s.Handler, Opener: s.Keys, NotFoundAfter: c.notFoundAfter(), Logger: s.Logger,
	})
}

func (c Config) provider(url string) paymentprovider.ClientConfig {
	return paymentprovider.ClientConfig{URL: url, Timeout: c.ProviderTimeout}
}

// notFoundAfter is the setting, or what fits the provider: see Config.
func (c Config) notFoundAfter() time.Duration {
	if c.NotFoundAfter == 0 && c.PaymentProvider == "" {
		return time.Second
	}
	return c.NotFoundAfter
}

func (c Config) deadlines() sagas.Deadlines {
	return sagas.Deadlines{Reserve: c.ReserveWithin, Authorise: c.AuthoriseWithin, Action: c.ActionWithin}
}
