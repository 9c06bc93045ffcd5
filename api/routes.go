package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/internal/shop"
)

// Side is one half of the API.
type Side string

// Commands record something, queries read.
const (
	Commands Side = "commands"
	Queries  Side = "queries"
)

// Reads reports whether a method changes nothing.
func Reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// sideOf is the side of the operations of a method.
func sideOf(method string) (Side, error) {
	switch method {
	case http.MethodGet:
		return Queries, nil
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return Commands, nil
	}
	return "", fmt.Errorf("no operation has the method %s", method)
}

// NewEcho returns a router that answers errors with problems. Where a route has GET, Allow names HEAD too (HeadAsGet). A Range is
// answered with the whole and Accept-Ranges: none.
func NewEcho(log *slog.Logger) *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = Errors(log)
	e.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Response().Before(func() {
				h := c.Response().Header()
				if c.Request().Header.Get("Range") != "" {
					h.Set("Accept-Ranges", "none")
				}
				methods := elements(h.Values("Allow"))
				if at := slices.Index(methods, http.MethodGet); at >= 0 && !slices.Contains(methods, http.MethodHead) {
					h.Set("Allow", strings.Join(slices.Insert(methods, at+1, http.MethodHead), ", "))
				}
			})
			return next(c)
		}
	})
	return e
}

// Routes registers the operations of some sides on e, each behind its stages. A route that is not in openapi.yaml is an error.
func Routes(e *echo.Echo, gate *Gate, operations openapi.StrictServerInterface, sides ...Side) error {
	r := newRouter(e, gate, stages(gate, Front{}), sides)
	openapi.RegisterHandlers(r, openapi.NewStrictHandler(operations, decodedBy(r.stages)))
	if slices.Contains(sides, Queries) {
		if err := docs(e); err != nil {
			return err
		}
	}
	return r.err()
}

// HeadAsGet handles HEAD as GET. The HTTP server does not send the body.
func HeadAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			r = r.WithContext(context.WithValue(r.Context(), headKey{}, true))
			r.Method = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

type headKey struct{}

// Head reports whether a GET was sent as HEAD.
func Head(r *http.Request) bool {
	head, _ := r.Context().Value(headKey{}).(bool)
	return head
}

// Errors writes every error as a problem, and logs errors of the server.
func Errors(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		p := AsProblem(err)
		if p.Code == "outcome_unknown" && Reads(c.Request().Method) { // a query has no outcome
			p = refused(shop.Unreachable())
		}
		if cancelled := Cancelled(c.Request()); cancelled != nil && p.Status >= http.StatusInternalServerError {
			p = cancelled
		}
		id := RequestOf(c.Request().Context()).TraceID
		if id == "" {
			id, _ = traceOf(c.Request())
		}
		if p.Status >= http.StatusInternalServerError {
			level := slog.LevelError
			switch {
			case p.Code == "not_yet" || p.Code == "rebuilding":
				level = slog.LevelDebug // nothing is broken: too early
			case p.RetryAfter > 0:
				level = slog.LevelDebug // health logs a failing dependency once, and metrics count requests by status
			}
			log.Log(c.Request().Context(), level, "request failed", "method", c.Request().Method, "route", c.Path(), "code", p.Code, "trace_id", id, "error", err)
		}
		if werr := p.Write(c.Response(), id); werr != nil {
			log.Debug("problem not sent", "error", werr)
		}
	}
}
