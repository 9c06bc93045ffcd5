package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
)

// stages are what a request passes on its way to its operation, outermost first. It is the only way: every route of the generated
// router is made of this list, whatever its method. What goes wrong at any of them becomes a problem (Errors).
func stages(g *Gate, f Front) []stage {
	return []stage{
		// Of every request, also of one that no route fits.
		{name: "origin", front: f.Origin}, // 403 for pages of other sites, 421 for other host names
		{name: "trace", front: f.Trace},
		{name: "metrics", front: f.Metrics}, // by the template of the route
		{name: "head", front: HeadAsGet},

		// Of every operation, once its route is found. Routes registers the operations of the sides that are served here only.
		{name: "acknowledged", route: acknowledged},
		{name: "request", route: g.begin},
		{name: "authentication", route: checked(authenticate)},
		{name: "form", route: checked(checkForm)}, // 406
		{name: "parameters", route: checked(checkParams)},
		{name: "headers", route: checked(readHeaders)},   // Idempotency-Key, If-Match, Prefer
		{name: "question", route: checked(readQuestion)}, // min_position, as_of, known_at, cursor, limit
		{name: "body", route: checked(readContent)},      // checked, and its digest for the idempotency key
		{name: "deadline", route: inTime},

		// Of every operation, once generated code has decoded its request.
		{name: "clean", decoded: cleaned},
		{name: "acknowledge", decoded: acknowledge},
	}
}

// stage is one of three kinds.
type stage struct {
	name    string
	front   func(http.Handler) http.Handler
	route   func(*operation, echo.HandlerFunc) echo.HandlerFunc
	decoded openapi.StrictMiddlewareFunc
}

// Front is how a listener does the first stages.
type Front struct {
	Origin, Trace, Metrics func(http.Handler) http.Handler
}

// Handler puts the stages of every request before a handler.
func (f Front) Handler(next http.Handler) (http.Handler, error) { return before(stages(nil, f), next) }

// before puts the stages of every request before a handler.
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

// behind is an operation behind the stages of its route.
func behind(all []stage, op *operation, next echo.HandlerFunc) echo.HandlerFunc {
	for _, s := range slices.Backward(all) {
		if s.route != nil {
			next = s.route(op, next)
		}
	}
	return next
}

// decodedBy are the stages of a decoded request. Generated code puts the first of a list innermost.
func decodedBy(all []stage) (out []openapi.StrictMiddlewareFunc) {
	for _, s := range slices.Backward(all) {
		if s.decoded != nil {
			out = append(out, s.decoded)
		}
	}
	return out
}

// checked is a stage that looks at a request before it goes on, and may add to what is known of it.
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

// begin is where a request is first known: by its trace, its client and its operation.
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

// inTime bounds an operation. A stream bounds itself until it begins.
func inTime(op *operation, next echo.HandlerFunc) echo.HandlerFunc {
	if op.streams() {
		return next
	}
	return func(c echo.Context) error {
		req := c.Request()
		ctx, cancel := context.WithTimeout(req.Context(), within(req, op.takes("Prefer")))
		defer cancel()
		c.SetRequest(req.WithContext(ctx))
		defer c.SetRequest(req) // so that an error is judged by the caller's context, not by this one, which ends here
		return next(c)
	}
}
