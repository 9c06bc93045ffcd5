package api

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/daybook-dev/daybook/kit/es"
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
	needed bool     // the body
	gives  []string // media types of its answers
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
			for _, code := range slices.Sorted(maps.Keys(o.Responses.Map())) {
				if code[0] == '2' {
					op.gives = append(op.gives, slices.Sorted(maps.Keys(o.Responses.Value(code).Value.Content))...)
				}
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
			Actor:  es.Actor{Kind: "user", ID: "anonymous"},
			Client: client(req), Operation: op.id, query: c.QueryParams(), key: g.digestKey,
		}
		r.TraceID, r.Traceparent = traceOf(req)
		r.HeadOnly, _ = req.Context().Value(headKey{}).(bool)
		if !accepts(req.Header, op.gives) {
			return NewProblem("not_acceptable", "this address answers with %s", strings.Join(op.gives, " or "))
		}
		if err := op.checkParams(c); err != nil {
			return err
		}
		if err := r.readHeaders(req.Header, op); err != nil {
			return err
		}
		if op.body == nil && req.ContentLength != 0 {
			return NewProblem("unexpected_body", "this address takes no body with this method")
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

// client is the address that a request came from, without its port.
func client(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return req.RemoteAddr
	}
	return host
}

// readHeaders takes what the operation is to know of the headers: those that it has in openapi.yaml. The others are ignored.
func (r *Request) readHeaders(h http.Header, op *operation) (err error) {
	if op.takes("Prefer") {
		r.Wait, r.Waits = Wait(h)
	}
	if r.IdempotencyKey, err = idempotencyKey(h); err != nil || !op.takes("If-Match") {
		return err
	}
	r.IfMatch, err = ifMatch(h)
	return err
}

// takes reports whether a header is a parameter of the operation.
func (op *operation) takes(header string) bool {
	return slices.ContainsFunc(op.params, func(p param) bool { return p.in == "header" && p.name == header })
}

func newTrace() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
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
	var span [8]byte
	_, _ = rand.Read(span[:]) // never fails
	id = newTrace()
	return id, "00-" + id + "-" + hex.EncodeToString(span[:]) + "-00"
}
