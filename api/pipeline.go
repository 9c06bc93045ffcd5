package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
)

// stages is the pipeline of every request, outermost first. Every route of the generated router is built from this list, whatever its
// method; there is no other way to an operation. Errors turns an error of any stage into a problem.
func stages(g *Gate, f Front) []stage {
	return []stage{
		// For every request, also without a matching route.
		{name: "origin", front: f.Origin}, // 403 for pages of other sites, 421 for unknown host names
		{name: "trace", front: f.Trace},
		{name: "metrics", front: f.Metrics}, // labelled with the route template
		{name: "head", front: HeadAsGet},

		// For every operation. The side filter is before: a router registers only the operations of the sides that it serves.
		{name: "request", route: g.begin},
		{name: "authentication", route: checked(authenticate)},
		{name: "form", route: checked(checkForm)}, // 406
		{name: "parameters", route: checked(checkParams)},
		{name: "headers", route: checked(readHeaders)},   // Idempotency-Key, If-Match, Prefer
		{name: "question", route: checked(readQuestion)}, // min_position, as_of, known_at, cursor, limit
		{name: "body", route: checked(readContent)},      // and the digest for the idempotency key
		{name: "deadline", route: inTime},

		// For every operation, after generated code has decoded the request.
		{name: "clean", decoded: cleaned},
	}
}

// stage has one of three kinds, by where it runs.
type stage struct {
	name    string
	front   func(http.Handler) http.Handler
	route   func(*operation, echo.HandlerFunc) echo.HandlerFunc
	decoded openapi.StrictMiddlewareFunc
}

// Front holds the implementations of the stages that depend on the listener.
type Front struct {
	Origin, Trace, Metrics func(http.Handler) http.Handler
}

// Handler wraps a handler in the stages of every request.
func (f Front) Handler(next http.Handler) (http.Handler, error) { return before(stages(nil, f), next) }

// before wraps a handler in the stages of every request.
func before(all []stage, next http.Handler) (http.Handler, error) {
	for _, s := range slices.Backward(all) {
		switch {
		case s.front != nil:
			next = s.front(next)
		case s.route == nil && s.decoded == nil:
			return nil, fmt.Errorf("the listener does not say how it does the stage %s", s.name)
		}
	}
	return next, nil
}

// behind wraps an operation in its route stages.
func behind(all []stage, op *operation, next echo.HandlerFunc) echo.HandlerFunc {
	for _, s := range slices.Backward(all) {
		if s.route != nil {
			next = s.route(op, next)
		}
	}
	return next
}

// decodedBy returns the stages of a decoded request, innermost first as generated code expects.
func decodedBy(all []stage) (out []openapi.StrictMiddlewareFunc) {
	for _, s := range slices.Backward(all) {
		if s.decoded != nil {
			out = append(out, s.decoded)
		}
	}
	return out
}

// checked is a stage that checks a request and may complete it.
func checked(check func(*operation, echo.Context, *Request) error) func(*operation, echo.HandlerFunc) echo.HandlerFunc {
	return func(op *operation, next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r, ok := c.Request().Context().Value(requestKey{}).(*Request)
			if !ok {
				return fmt.Errorf("%s: the stage that begins a request was not passed", op.id)
			}
			if err := check(op, c, r); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// begin puts a Request with trace, client and operation into the context.
func (g *Gate) begin(op *operation, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		req := c.Request()
		r := &Request{Client: client(req), query: c.QueryParams()}
		r.Operation, r.Installation = op.id, g.digestKey
		r.TraceID, r.Traceparent = traceOf(req)
		r.HeadOnly = Head(req)
		c.SetRequest(req.WithContext(context.WithValue(req.Context(), requestKey{}, r)))
		return next(c)
	}
}

// inTime limits the duration of an operation. A stream limits its own first read.
func inTime(op *operation, next echo.HandlerFunc) echo.HandlerFunc {
	if op.streams() {
		return next
	}
	return func(c echo.Context) error {
		req := c.Request()
		ctx, cancel := context.WithTimeout(req.Context(), within(req, op.takes("Prefer")))
		defer cancel()
		c.SetRequest(req.WithContext(ctx))
		defer c.SetRequest(req) // Errors looks at the context of the caller, not at this one, which ends here
		return next(c)
	}
}
