package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/command"
	"github.com/daybook-dev/daybook/api/gateway"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/api/query"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/kit/runtime"
)

// operations has both sides of the API. A side that this process does not serve is nil and has no routes. If neither side implements an
// operation of openapi.yaml, or both do, this does not compile.
type operations struct {
	*commands
	*queries
}

type (
	commands = command.Server
	queries  = query.Server
)

var _ openapi.StrictServerInterface = operations{}

func (o operations) sides() (out []api.Side) {
	if o.commands != nil {
		out = append(out, api.Commands)
	}
	if o.queries != nil {
		out = append(out, api.Queries)
	}
	return out
}

func (c Config) streams() shop.Limits {
	return shop.Limits{Streams: c.Streams, PerClient: c.StreamsPerClient}
}

// routes are the APIs of this process, and the gateway in front of them or of others.
func routes(c Config, s *runtime.Services) (http.Handler, error) {
	gate, err := api.NewGate(s.Secret)
	if err != nil {
		return nil, err
	}
	reading, err := shop.NewQueries(shop.QueryConfig{Rows: s.Views, Keys: s.Keys, TimeZone: c.Shop.TimeZone, Streams: c.streams(), Logger: s.Logger})
	if err != nil {
		return nil, err
	}
	s.Go(RoleQueryAPI, reading.Run)
	var ops operations
	if s.Has(RoleQueryAPI) {
		ops.queries = query.New(reading, s.Logger)
	}
	if s.Has(RoleCommandAPI) {
		changing := shop.NewCommands(shop.CommandConfig{Handler: s.Handler, Log: s.Log, Keys: s.Keys, Shop: c.Shop, Queries: reading, Logger: s.Logger})
		s.Go(RoleCommandAPI, changing.Run)
		ops.commands = command.New(changing)
	}
	table, err := api.NewTable(gate, s.Logger) // of both sides, wherever they are served
	if err != nil {
		return nil, err
	}
	e := newRouter(s)
	for _, router := range []*echo.Echo{table.Echo, e} {
		for path, probe := range s.Probes() {
			router.GET(path, echo.WrapHandler(probe))
		}
	}
	if err := api.Routes(e, gate, ops, ops.sides()...); err != nil {
		return nil, err
	}
	inner, err := front(s, acknowledging(e), table, ops)
	if err != nil {
		return nil, err
	}
	return api.Front{
		Origin:  s.Origin,
		Trace:   s.Trace,
		Metrics: func(next http.Handler) http.Handler { return s.Metrics(table.Template, next) },
	}.Handler(inner)
}

func newRouter(s *runtime.Services) *echo.Echo {
	e := api.NewEcho(s.Logger)
	e.HideBanner, e.HidePort = true, true
	return e
}

// front is the gateway's handler: an API that runs here is called directly, another one over HTTP.
func front(s *runtime.Services, here http.Handler, table *api.Table, ops operations) (http.Handler, error) {
	if !s.Has(RoleGateway) {
		return here, nil
	}
	side := func(local bool, name, at string) (http.Handler, error) {
		if local {
			return here, nil
		}
		if at == "" {
			return nil, fmt.Errorf("gateway: no address is known of the %s: give --%s, or run that role", name, name)
		}
		s.Probe(RoleGateway, name, func(ctx context.Context) error { return gateway.Check(ctx, strings.TrimSuffix(at, "/")) })
		return gateway.Proxy(at, s.Logger)
	}
	commands, err1 := side(ops.commands != nil, RoleCommandAPI, s.Addresses.Get(atCommandAPI))
	queries, err2 := side(ops.queries != nil, RoleQueryAPI, s.Addresses.Get(atQueryAPI))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return gateway.New(table, commands, queries), nil
}
