package api

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/daybook-dev/daybook/internal/es"
)

// maxBody is 1 MB, as api.md says; the store takes no larger event anyway.
const maxBody = 1_000_000

// bodyWithin bounds how long a body takes to come.
const bodyWithin = 10 * time.Second

// Gate checks every request against openapi.yaml before an operation sees it, and tells the operation who asks.
type Gate struct {
	operations map[string]*operation // by method and echo's route
	digestKey  []byte
}

type operation struct {
	id     string
	params openapi3.Parameters
	body   *openapi3.Schema
	needed bool // the body
}

// NewGate reads openapi.yaml. digestKey is the installation key.
func NewGate(digestKey []byte) (*Gate, error) {
	doc, err := LoadSpec()
	if err != nil {
		return nil, err
	}
	g := &Gate{operations: map[string]*operation{}, digestKey: digestKey}
	for path, item := range doc.Paths.Map() {
		route := strings.NewReplacer("{", ":", "}", "").Replace(path)
		for method, o := range item.Operations() {
			op := &operation{id: o.OperationID, params: append(slices.Clone(item.Parameters), o.Parameters...)}
			if o.RequestBody != nil {
				op.body, op.needed = o.RequestBody.Value.Content["application/json"].Schema.Value, o.RequestBody.Value.Required
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

// checkParams validates path, query and header parameters by their schemas.
func (op *operation) checkParams(c echo.Context) error {
	query, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return NewProblem("malformed_parameter", "the query string cannot be read: %v", err)
	}
	for name, values := range query {
		if op.param("query", name) == nil {
			return NewProblem("unknown_parameter", "this operation has no query parameter %q", name).At(name, "unknown", "is not a parameter here")
		}
		if len(values) > 1 {
			return NewProblem("malformed_parameter", "the parameter %s is given more than once", name).At(name, "duplicate", "stands more than once")
		}
	}
	for _, ref := range op.params {
		p := ref.Value
		var value string
		var given bool
		switch p.In {
		case "path":
			if value, err = pathParam(c, p.Name); err != nil {
				return err
			}
			given = true
		case "query":
			value, given = query.Get(p.Name), query.Has(p.Name)
		case "header":
			value = c.Request().Header.Get(p.Name)
			given = value != ""
			if p.Name == "Idempotency-Key" {
				given = unquote(value) != ""
			}
		}
		switch {
		case !given && p.Required && p.Name == "Idempotency-Key":
			return NewProblem("idempotency_key_required", "send an Idempotency-Key header, so that a repeat takes effect once").
				At(p.Name, "required", "is missing")
		case !given && p.Required:
			return NewProblem("malformed_parameter", "the parameter %s is missing", p.Name).At(p.Name, "required", "is missing")
		case !given:
			continue
		}
		if p.Name == "Idempotency-Key" && len(unquote(value)) > 255 {
			return NewProblem("malformed_parameter", "the Idempotency-Key is longer than 255 characters").At(p.Name, "maxLength", "may have 255 characters")
		}
		if strings.ContainsRune(value, 0) {
			return NewProblem("malformed_parameter", "the parameter %s contains U+0000", p.Name).At(p.Name, "nul", "contains U+0000")
		}
		if !utf8.ValidString(value) {
			return NewProblem("malformed_parameter", "the parameter %s is not UTF-8", p.Name).At(p.Name, "utf8", "is not UTF-8")
		}
		if err := visitParam(p.Schema.Value, value); err != nil {
			problem := NewProblem("malformed_parameter", "the parameter %s cannot be used", p.Name)
			return addFaults(problem, err, p.Name)
		}
	}
	return nil
}

// pathParam is a segment as its sender meant it. The router gives it escaped where the address has an escape that it need
// not have, %2F above all, and takes what follows a last parameter for a part of it.
func pathParam(c echo.Context, name string) (string, error) {
	value := c.Param(name)
	if strings.Contains(value, "/") {
		return "", NewProblem("route_not_found", "there is nothing at this address")
	}
	if c.Request().URL.RawPath == "" {
		return value, nil
	}
	value, err := url.PathUnescape(value)
	if err != nil {
		return "", NewProblem("malformed_parameter", "the parameter %s cannot be read", name).At(name, "escape", "%v", err)
	}
	return value, nil
}

func (op *operation) param(in, name string) *openapi3.Parameter {
	for _, p := range op.params {
		if p.Value.In == in && p.Value.Name == name {
			return p.Value
		}
	}
	return nil
}

func visitParam(s *openapi3.Schema, value string) error {
	if s.Type.Is("integer") {
		doc, err := readJSON([]byte(value))
		if err != nil {
			return errors.New("must be a whole number")
		}
		return s.VisitJSON(doc.value, openapi3.MultiErrors())
	}
	return s.VisitJSON(value, openapi3.MultiErrors())
}

// readBody reads a body that is neither too large nor too slow.
func readBody(c echo.Context) ([]byte, error) {
	in := http.NewResponseController(c.Response())
	_ = in.SetReadDeadline(time.Now().Add(bodyWithin)) // not every writer has one
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxBody))
	if err == nil {
		_ = in.SetReadDeadline(time.Time{}) // else it stands, or the server would wait for the rest
		return body, nil
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, NewProblem("body_too_large", "a body may have %d bytes", tooLarge.Limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, NewProblem("body_too_slow", "the body did not come within %s", bodyWithin)
	}
	return nil, NewProblem("malformed_json", "the body could not be read to its end")
}

// checkBody reads, checks and restores the body, and gives its canonical form.
func (op *operation) checkBody(c echo.Context) ([]byte, error) {
	req := c.Request()
	body, err := readBody(c)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 && !op.needed {
		body = []byte("{}")
		req.Header.Set("Content-Type", "application/json")
	}
	if mt, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return nil, NewProblem("unsupported_media_type", "send application/json")
	}
	doc, err := readJSON(body)
	if err != nil {
		return nil, NewProblem("malformed_json", "%v", err)
	}
	if p := refuseCards(doc.value); p != nil {
		return nil, p
	}
	problem := NewProblem("validation", "")
	for _, f := range doc.faults {
		problem.At(f.pointer, f.code, "%s", f.detail)
	}
	if err := op.body.VisitJSON(doc.value, openapi3.MultiErrors(), openapi3.VisitAsRequest()); err != nil {
		problem = addFaults(problem, err, "#")
	}
	if len(problem.Errors) > 0 {
		return nil, finishValidation(problem)
	}
	var canon bytes.Buffer
	canonical(&canon, doc.value)
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.ContentLength = int64(len(body))
	return canon.Bytes(), nil
}
