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
	handler := n.http.Handler("admin", templates(e), api.HeadAsGet(e))
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

// publicRoutes has every route of both APIs, served here or elsewhere: a gateway names them too.
func (n *Node) publicRoutes(gate *api.Gate) *echo.Echo {
	e := newEcho(n.log)
	healthRoutes(e, n.health, false)
	api.Routes(e, gate, operations{}, true, true)
	return e
}

// templates gives the route template of a request, "" if there is none.
func templates(e *echo.Echo) func(*http.Request) string {
	return func(r *http.Request) string {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		c := e.AcquireContext()
		defer e.ReleaseContext(c)
		c.Reset(r, nil)
		e.Router().Find(method, echo.GetPath(r), c)
		return c.Path()
	}
}

func newEcho(log *slog.Logger) *echo.Echo {
	e := api.NewEcho(log)
	e.HideBanner, e.HidePort = true, true
	return e
}

// operations is both sides of the API; a side that is not served here is nil and has no routes.
type operations struct {
	commands
	queries
}

type (
	commands interface {
		AddProduct(context.Context, openapi.AddProductRequestObject) (openapi.AddProductResponseObject, error)
		ChangeProduct(context.Context, openapi.ChangeProductRequestObject) (openapi.ChangeProductResponseObject, error)
		ReceiveStock(context.Context, openapi.ReceiveStockRequestObject) (openapi.ReceiveStockResponseObject, error)
		AdjustStock(context.Context, openapi.AdjustStockRequestObject) (openapi.AdjustStockResponseObject, error)
		RegisterCustomer(context.Context, openapi.RegisterCustomerRequestObject) (openapi.RegisterCustomerResponseObject, error)
		PlaceOrder(context.Context, openapi.PlaceOrderRequestObject) (openapi.PlaceOrderResponseObject, error)
		CancelOrder(context.Context, openapi.CancelOrderRequestObject) (openapi.CancelOrderResponseObject, error)
	}
	queries interface {
		ListProducts(context.Context, openapi.ListProductsRequestObject) (openapi.ListProductsResponseObject, error)
		GetProduct(context.Context, openapi.GetProductRequestObject) (openapi.GetProductResponseObject, error)
		GetStock(context.Context, openapi.GetStockRequestObject) (openapi.GetStockResponseObject, error)
		GetCustomer(context.Context, openapi.GetCustomerRequestObject) (openapi.GetCustomerResponseObject, error)
		ListCustomerOrders(context.Context, openapi.ListCustomerOrdersRequestObject) (openapi.ListCustomerOrdersResponseObject, error)
		ListOrders(context.Context, openapi.ListOrdersRequestObject) (openapi.ListOrdersResponseObject, error)
		GetOrder(context.Context, openapi.GetOrderRequestObject) (openapi.GetOrderResponseObject, error)
		GetOrderTimeline(context.Context, openapi.GetOrderTimelineRequestObject) (openapi.GetOrderTimelineResponseObject, error)
		StreamOrderEvents(context.Context, openapi.StreamOrderEventsRequestObject) (openapi.StreamOrderEventsResponseObject, error)
		GetEventSchema(context.Context, openapi.GetEventSchemaRequestObject) (openapi.GetEventSchemaResponseObject, error)
		ReportSales(context.Context, openapi.ReportSalesRequestObject) (openapi.ReportSalesResponseObject, error)
	}
)

var _ openapi.StrictServerInterface = operations{}

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

func (c Config) streams() query.Limits {
	return query.Limits{Streams: c.Streams, PerClient: c.StreamsPerClient}
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
	asked, err := query.New(query.Config{
		Rows: n.system.Reader, Keys: n.system.Keys, TimeZone: n.cfg.Shop.TimeZone, Streams: n.cfg.streams(), Logger: n.log,
	})
	if err != nil {
		return err
	}
	n.add("query-api", asked.Run)
	var ops operations
	if n.cfg.Has(RoleQueryAPI) {
		ops.queries = asked
	}
	if n.cfg.Has(RoleCommandAPI) {
		commands := command.New(command.Config{
			Handler: n.system.Handler, Log: n.system.Store, Keys: n.system.Keys, Shop: n.cfg.Shop, Orders: asked, Logger: n.log,
		})
		n.add("command-api", commands.Run)
		ops.commands = commands
	}
	e := newEcho(n.log)
	healthRoutes(e, n.health, false)
	api.Routes(e, gate, ops, ops.commands != nil, ops.queries != nil)
	whole := n.publicRoutes(gate)
	handler, err := n.front(api.HeadAsGet(e), whole, ops)
	if err != nil {
		return err
	}
	public.serve(otelhttp.NewHandler(n.http.Handler(n.publicName(), templates(whole), handler), "http"))
	n.roles = append(n.roles, public)
	return nil
}

// front is the gateway's handler: an API that runs here is called directly, another one over HTTP. whole has the routes of both.
func (n *Node) front(here http.Handler, whole *echo.Echo, ops operations) (http.Handler, error) {
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
	return api.Methods(whole, gateway.New(c, q)), nil
}
