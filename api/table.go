package api

import (
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
)

// Table has the routes of both sides, wherever they are served. It answers OPTIONS and unsupported methods. Further routes may be
// registered on it.
type Table struct {
	*echo.Echo

	operations map[string]*operation
}

// NewTable returns the table of the operations of openapi.yaml and of the documents.
func NewTable(gate *Gate, log *slog.Logger) (*Table, error) {
	t := &Table{NewEcho(log), gate.operations}
	return t, Routes(t.Echo, gate, struct{ openapi.StrictServerInterface }{}, Commands, Queries)
}

// Template is the route template of a request, "" if no route matches.
func (t *Table) Template(r *http.Request) string { return t.Find(r).Template }

// Found is the route of a request.
type Found struct {
	Template string // "" if no route matches
	Refused  bool   // the route does not have the method
	Side     Side   // of the operation; without one, by the method
	Streams  bool   // the answer is an event stream
}

// Find returns the route of a request.
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
