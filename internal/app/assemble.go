package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/command"
	"github.com/daybook-dev/daybook/api/gateway"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/api/query"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/internal/topic"
)

// listen opens the addresses of this process before anything is started, so that a taken one is known at once.
func (n *Node) listen() error {
	admin, err := listen("admin", n.cfg.AdminListen, "admin-listen", n.admin(), n.cfg.guard(), n.log)
	if err != nil {
		return err
	}
	n.webs, n.addresses.Admin = append(n.webs, admin), admin.url()
	n.roles = append(n.roles, admin)
	if !n.cfg.Has(RoleGateway) && !n.cfg.Has(RoleCommandAPI) && !n.cfg.Has(RoleQueryAPI) {
		return nil
	}
	public, err := listen("api", n.cfg.Listen, "listen", http.NotFoundHandler(), n.cfg.publicGuard(), n.log)
	if err != nil {
		return err
	}
	n.webs = append(n.webs, public)
	for _, at := range []struct {
		role string
		url  *string
	}{{RoleGateway, &n.addresses.API}, {RoleCommandAPI, &n.addresses.CommandAPI}, {RoleQueryAPI, &n.addresses.QueryAPI}} {
		if n.cfg.Has(at.role) {
			*at.url = public.url()
		}
	}
	return nil
}

// admin serves what operators look at: metrics, health, and profiles if they are asked for.
func (n *Node) admin() http.Handler {
	e := newEcho(n.log)
	e.GET("/", api.Index("Daybook, for its operators", api.Link{Name: "Metrics", Href: "/metrics"}, api.Link{Name: "Is it ready?", Href: "/readyz?verbose"}, api.Link{Name: "Is it alive?", Href: "/livez"}))
	healthRoutes(e, n.health, true)
	// A figure that cannot be read, in an outage of Postgres say, must not take the others along.
	e.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(n.metrics, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})))
	handler := n.http.Handler("admin", (&api.Table{Echo: e}).Template, api.HeadAsGet(e))
	if !n.cfg.Pprof {
		return handler
	}
	e.GET("/debug/pprof/profile", echo.WrapHandler(http.HandlerFunc(pprof.Profile)))
	e.GET("/debug/pprof/trace", echo.WrapHandler(http.HandlerFunc(pprof.Trace)))
	e.GET("/debug/pprof/*", echo.WrapHandler(http.HandlerFunc(pprof.Index)))
	return handler
}

// publicName is the label of the public listener in metrics: a gateway, or an API by itself.
func (n *Node) publicName() string {
	if n.cfg.Has(RoleGateway) {
		return RoleGateway
	}
	return "api"
}

func newEcho(log *slog.Logger) *echo.Echo {
	e := api.NewEcho(log)
	e.HideBanner, e.HidePort = true, true
	return e
}

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

// assemble makes the roles of this process out of the system it is connected to. Deployments begin first, whatever the
// roles: no order placed before the sagas first ran anywhere is forgotten.
func (n *Node) assemble(ctx context.Context, keys *topic.Keys) error {
	first, err := n.system.deploy(ctx)
	if err != nil {
		return err
	}
	if err := n.engines(ctx, keys, first); err != nil {
		return err
	}
	return n.apis()
}

func (n *Node) add(name string, run func(context.Context) error) {
	n.roles = append(n.roles, role{name, run})
}

func (c Config) streams() shop.Limits {
	return shop.Limits{Streams: c.Streams, PerClient: c.StreamsPerClient}
}

// apis serves the APIs of this process, and the gateway in front of them or of others.
func (n *Node) apis() error {
	if n.addresses.API == "" && n.addresses.CommandAPI == "" && n.addresses.QueryAPI == "" {
		return nil
	}
	public := n.webs[len(n.webs)-1]
	gate, err := api.NewGate(n.system.Secrets.InstallationKey)
	if err != nil {
		return err
	}
	reading, err := shop.NewQueries(shop.QueryConfig{
		Rows: n.system.Reader, Keys: n.system.Keys, TimeZone: n.cfg.Shop.TimeZone, Streams: n.cfg.streams(), Logger: n.log,
	})
	if err != nil {
		return err
	}
	n.add("query-api", reading.Run)
	var ops operations
	if n.cfg.Has(RoleQueryAPI) {
		ops.queries = query.New(reading, n.log)
	}
	if n.cfg.Has(RoleCommandAPI) {
		changing := shop.NewCommands(shop.CommandConfig{
			Handler: n.system.Handler, Log: n.system.Store, Keys: n.system.Keys, Shop: n.cfg.Shop, Queries: reading, Logger: n.log,
		})
		n.add("command-api", changing.Run)
		ops.commands = command.New(changing)
	}
	table, err := api.NewTable(gate, n.log) // of both sides, wherever they are served
	if err != nil {
		return err
	}
	healthRoutes(table.Echo, n.health, false)
	e := newEcho(n.log)
	healthRoutes(e, n.health, false)
	if err := api.Routes(e, gate, ops, ops.sides()...); err != nil {
		return err
	}
	inner, err := n.front(acknowledging(e), table, ops)
	if err != nil {
		return err
	}
	handler, err := api.Front{
		Origin:  public.guard.In,
		Trace:   func(next http.Handler) http.Handler { return otelhttp.NewHandler(next, "http") },
		Metrics: func(next http.Handler) http.Handler { return n.http.Handler(n.publicName(), table.Template, next) },
	}.Handler(inner)
	if err != nil {
		return err
	}
	public.serve(handler)
	n.roles = append(n.roles, public)
	return nil
}

// front is the gateway's handler: an API that runs here is called directly, another one over HTTP.
func (n *Node) front(here http.Handler, table *api.Table, ops operations) (http.Handler, error) {
	if !n.cfg.Has(RoleGateway) {
		return here, nil
	}
	side := func(local bool, name, configured string) (http.Handler, error) {
		if local {
			return here, nil
		}
		if configured == "" {
			return nil, fmt.Errorf("gateway: no address is known of the %s: give --%s, or run that role", name, name)
		}
		n.health.Reporter(RoleGateway).Probe(name, func(ctx context.Context) error { return gateway.Check(ctx, strings.TrimSuffix(configured, "/")) })
		return gateway.Proxy(configured, n.log)
	}
	c, err1 := side(ops.commands != nil, RoleCommandAPI, n.system.Addresses.CommandAPI)
	q, err2 := side(ops.queries != nil, RoleQueryAPI, n.system.Addresses.QueryAPI)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return gateway.New(table, c, q), nil
}
