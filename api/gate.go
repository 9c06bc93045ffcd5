package api

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/daybook-dev/daybook/internal/es"
)

// Gate checks every request against openapi.yaml before an operation sees it, and tells the operation who asks.
type Gate struct {
	operations map[string]*operation // by method and echo's route
	digestKey  []byte
}

type operation struct {
	id     string
	params []param
	body   *shape
	needed bool // the body
}

// NewGate reads openapi.yaml. digestKey is the installation key.
func NewGate(digestKey []byte) (*Gate, error) {
	doc, err := LoadSpec()
	if err != nil {
		return nil, err
	}
	g := &Gate{operations: map[string]*operation{}, digestKey: digestKey}
	made := shapes{}
	for path, item := range doc.Paths.Map() {
		route := strings.NewReplacer("{", ":", "}", "").Replace(path)
		for method, o := range item.Operations() {
			op := &operation{id: o.OperationID}
			if op.params, err = made.params(append(slices.Clone(item.Parameters), o.Parameters...), o.OperationID); err != nil {
				return nil, err
			}
			if o.RequestBody != nil {
				op.needed = o.RequestBody.Value.Required
				if op.body, err = made.of(o.RequestBody.Value.Content["application/json"].Schema, o.OperationID); err != nil {
					return nil, err
				}
			}
			g.operations[method+" "+route] = op
		}
	}
	return g, nil
}

// Check is the middleware of all routes of openapi.yaml.
func (g *Gate) Check(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		op := g.operations[c.Request().Method+" "+c.Path()]
		if op == nil {
			return next(c)
		}
		req := c.Request()
		r := Request{
			Actor:     es.Actor{Kind: "user", ID: "anonymous"},
			Operation: op.id, IdempotencyKey: unquote(req.Header.Get("Idempotency-Key")), query: c.QueryParams(),
		}
		r.TraceID, r.Traceparent = traceOf(req)
		r.HeadOnly, _ = req.Context().Value(headKey{}).(bool)
		if err := op.checkParams(c); err != nil {
			return err
		}
		if op.body != nil {
			canon, err := op.checkBody(c)
			if err != nil {
				return err
			}
			r.Digest = digest(g.digestKey, op.id, req.URL.Path, canon)
		}
		c.SetRequest(c.Request().WithContext(withRequest(c.Request().Context(), r)))
		return next(c)
	}
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// TraceID is what problems name the request by.
func TraceID(req *http.Request) string {
	id, _ := traceOf(req)
	return id
}

// traceOf gives the request's W3C trace context, a new one if it came with none.
func traceOf(req *http.Request) (id, parent string) {
	if s := trace.SpanContextFromContext(req.Context()); s.IsValid() {
		return s.TraceID().String(), fmt.Sprintf("00-%s-%s-%02x", s.TraceID(), s.SpanID(), byte(s.TraceFlags()))
	}
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	id = hex.EncodeToString(b[:16])
	return id, "00-" + id + "-" + hex.EncodeToString(b[16:]) + "-00"
}
