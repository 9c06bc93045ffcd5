package runtime

import (
	"context"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Services are what the domain's own code is given in a process that runs.
type Services struct {
	Handler   *es.Handler
	Log       es.Log
	Views     Views
	Keys      Keys   // of personal data; nil in a process whose roles neither seal nor open any
	Secret    []byte // of the installation, for digests that cannot be guessed; nil in a process whose roles decide nothing
	Logger    *slog.Logger
	Addresses Addresses // of the whole system

	node *Node
}

// Views read the tables of projections.
type Views interface {
	View(ps ...projection.Projection) (query.View, error)
	// Partition is the partition of a key. Watch wakes its caller when rows may have changed in a partition that concerns accepts;
	// it may also wake it without a change.
	Partition(key string) int
	Watch(concerns func(partition int) bool) (wake <-chan struct{}, cancel func())
}

// Keys seal and open personal data.
type Keys interface {
	es.Sealer
	es.Opener
}

func (n *Node) services() *Services {
	s := &Services{
		Handler: n.system.Handler, Log: n.system.Store, Views: n.system.Reader, Secret: n.system.Secrets.InstallationKey, Logger: n.log,
		Addresses: n.system.Addresses, node: n,
	}
	if n.system.Keys != nil {
		s.Keys = n.system.Keys
	}
	return s
}

// Has tells whether this process has a role.
func (s *Services) Has(role string) bool { return s.node.cfg.Has(role) }

// Go makes something a part of this process: it runs until its context ends. An error that it returns stops the process.
func (s *Services) Go(name string, run func(context.Context) error) { s.node.add(name, run) }

// Probe makes something a part of this process' health. The part is not ready while ok gives an error.
func (s *Services) Probe(part, name string, ok func(context.Context) error) {
	s.node.health.Reporter(part).Probe(name, ok)
}

// OnClose calls something when the process has stopped everything else.
func (s *Services) OnClose(do func()) { s.node.closing = append(s.node.closing, do) }

// Origin refuses requests of pages of other sites, and those for hosts that this process is not.
func (s *Services) Origin(next http.Handler) http.Handler {
	return s.node.webs[len(s.node.webs)-1].guard.In(next)
}

// Trace makes a request part of a trace that goes on into the metadata of events.
func (s *Services) Trace(next http.Handler) http.Handler { return otelhttp.NewHandler(next, "http") }

// Metrics counts and times what next answers. route gives the template of a request, "" if no route fits.
func (s *Services) Metrics(route func(*http.Request) string, next http.Handler) http.Handler {
	return s.node.http.Handler(s.node.publicName(), route, next)
}

// Probes are GET /livez, /readyz and /startupz.
func (s *Services) Probes() map[string]http.Handler { return probes(s.node.health, false) }

// Front puts all of these before a handler. A mux labels metrics with its patterns.
func (s *Services) Front(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	for path, h := range s.Probes() {
		mux.Handle("GET "+path, h)
	}
	mux.Handle("/", next)
	route := func(r *http.Request) string {
		if _, pattern := mux.Handler(r); pattern != "/" {
			return pattern
		}
		if inner, ok := next.(*http.ServeMux); ok {
			_, pattern := inner.Handler(r)
			return pattern
		}
		return ""
	}
	return s.Origin(s.Trace(s.Metrics(route, mux)))
}
