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

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/daybook-dev/daybook/kit/es"
)

// Gate holds the operations of openapi.yaml: parameters, bodies and media types.
type Gate struct {
	operations map[string]*operation // by method and echo's route
	digestKey  []byte
}

type operation struct {
	id            string
	method, route string
	side          Side
	params        []param
	body          *shape
	needed        bool     // the body
	gives         []string // media types of its answers
}

// NewGate reads openapi.yaml. digestKey is the installation key.
func NewGate(digestKey []byte) (*Gate, error) {
	doc, err := LoadSpec()
	if err != nil {
		return nil, err
	}
	return newGate(doc, digestKey)
}

func newGate(doc *openapi3.T, digestKey []byte) (*Gate, error) {
	g := &Gate{operations: map[string]*operation{}, digestKey: digestKey}
	made := shapes{}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			op, err := made.operation(o, item.Parameters)
			if err != nil {
				return nil, err
			}
			op.method, op.route = method, strings.NewReplacer("{", ":", "}", "").Replace(path)
			if op.side, err = sideOf(method); err != nil {
				return nil, fmt.Errorf("openapi.yaml: %s: %w", op.id, err)
			}
			if op.side == Commands && !slices.ContainsFunc(op.params, func(p param) bool { return p.name == "Idempotency-Key" && p.required }) {
				return nil, fmt.Errorf("openapi.yaml: %s changes something and does not require an Idempotency-Key", op.id)
			}
			g.operations[method+" "+op.route] = op
		}
	}
	return g, nil
}

// operation reads one operation. common are the parameters of its path.
func (all shapes) operation(o *openapi3.Operation, common openapi3.Parameters) (op *operation, err error) {
	op = &operation{id: o.OperationID}
	if op.params, err = all.params(append(slices.Clone(common), o.Parameters...), o.OperationID); err != nil {
		return nil, err
	}
	for _, code := range slices.Sorted(maps.Keys(o.Responses.Map())) {
		if code[0] == '2' {
			op.gives = append(op.gives, slices.Collect(maps.Keys(o.Responses.Value(code).Value.Content))...)
		}
	}
	slices.Sort(op.gives)
	op.gives = slices.Compact(op.gives)
	if o.RequestBody != nil {
		op.needed = o.RequestBody.Value.Required
		op.body, err = all.of(o.RequestBody.Value.Content["application/json"].Schema, o.OperationID)
	}
	return op, err
}

// streams reports whether the answer is an event stream.
func (op *operation) streams() bool { return slices.Contains(op.gives, "text/event-stream") }

// takes reports whether a header is a parameter of the operation.
func (op *operation) takes(header string) bool {
	return slices.ContainsFunc(op.params, func(p param) bool { return p.in == "header" && p.name == header })
}

// authenticate sets the actor of the request.
func authenticate(_ *operation, _ echo.Context, r *Request) error {
	r.Actor = es.Actor{Kind: "user", ID: "anonymous"}
	return nil
}

// checkForm refuses a request that accepts none of the media types of the answer.
func checkForm(op *operation, c echo.Context, _ *Request) error {
	if !accepts(c.Request().Header, op.gives) {
		return NewProblem("not_acceptable", "this address answers with %s", strings.Join(op.gives, " or "))
	}
	return nil
}

// readHeaders reads the headers that the operation has in openapi.yaml. It ignores others.
func readHeaders(op *operation, c echo.Context, r *Request) (err error) {
	h := c.Request().Header
	if op.takes("Prefer") {
		r.Wait, r.Waits = Wait(h)
	}
	if r.IdempotencyKey, err = idempotencyKey(h); err != nil || !op.takes("If-Match") {
		return err
	}
	r.IfMatch, err = ifMatch(h)
	return err
}

// readContent checks the body and computes the digest that distinguishes a repeat from another request with the same key.
func readContent(op *operation, c echo.Context, r *Request) error {
	if op.body == nil && c.Request().ContentLength != 0 {
		return NewProblem("unexpected_body", "this address takes no body with this method")
	}
	if op.body == nil {
		if op.side == Commands {
			r.Digest = digest(r.Installation, op.id, c.Request().URL.Path, nil)
		}
		return nil
	}
	canon, err := op.checkBody(c)
	if err != nil {
		return err
	}
	r.Digest = digest(r.Installation, op.id, c.Request().URL.Path, canon)
	return nil
}

// client is the address that a request came from, without its port.
func client(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return req.RemoteAddr
	}
	return host
}

func newTrace() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// TraceID is the trace id that problems contain.
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
