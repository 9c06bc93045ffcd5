package api

import (
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
)

// Table knows the routes of both sides, wherever they are served. It answers requests with a method that a route does not have, and
// OPTIONS; more routes may be put on it.
type Table struct {
	*echo.Echo

	operations map[string]*operation
}

// NewTable gives the table of the operations of openapi.yaml, and of the pages beside them.
func NewTable(gate *Gate, log *slog.Logger) (*Table, error) {
	t := &Table{NewEcho(log), gate.operations}
	return t, Routes(t.Echo, gate, struct{ openapi.StrictServerInterface }{}, Commands, Queries)
}

// Template is the one of a request's route, "" if there is none.
func (t *Table) Template(r *http.Request) string { return t.Find(r).Template }

// Found is what a request's method and address lead to.
type Found struct {
	Template string // of the route; "" if there is none
	Refused  bool   // there is a route, which does not have the method
	Side     Side   // that serves it; beside operations it is the method's
	Streams  bool   // the answer goes on for as long as the caller likes
}

// Find looks a request up.
func (t *Table) Find(r *http.Request) Found {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	c := t.AcquireContext()
	defer t.ReleaseContext(c)
	c.Reset(r, nil)
	t.Router().Find(method, echo.GetPath(r), c)
	found := Found{Template: c.Path(), Refused: c.Get(echo.ContextKeyHeaderAllow) != nil, Side: Commands}
	if Reads(method) {
		found.Side = Queries
	}
	if op := t.operations[method+" "+c.Path()]; op != nil {
		found.Side, found.Streams = op.side, op.streams()
	}
	return found
}
