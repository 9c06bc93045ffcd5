package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
)

// NewEcho serves what is registered on it, with errors as problems. Where GET is taken, Allow says that HEAD is too (HeadAsGet). A
// Range is answered with the whole, and with the word that there are no parts.
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

// Routes puts operations behind the gate on e: those that change something if commands is set, those that read if queries is.
func Routes(e *echo.Echo, gate *Gate, operations openapi.StrictServerInterface, commands, queries bool) {
	open := openapi.NewStrictHandler(operations, []openapi.StrictMiddlewareFunc{acknowledge, cleaned})
	openapi.RegisterHandlers(sides{e, []echo.MiddlewareFunc{acknowledged, gate.Check}, commands, queries}, open)
	if queries {
		e.GET("/", Index("Daybook", Link{"API document (OpenAPI)", "/openapi.yaml"}, Link{"Document of the Kafka topic (AsyncAPI)", "/asyncapi.yaml"}, Link{"Is it ready?", "/readyz"}))
		e.GET("/openapi.yaml", func(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", Spec) })
		e.GET("/asyncapi.yaml", func(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", AsyncSpec) })
	}
}

// HeadAsGet answers a HEAD as the GET would be, without the body, which the server leaves out.
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

// Methods answers what asks a route of e for a method that it does not have, and OPTIONS, in place of next. It is for a gateway
// whose APIs know their own methods only: e has the routes of both.
func Methods(e *echo.Echo, next http.Handler) http.Handler {
	here := HeadAsGet(e)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allowed(e, r) {
			next.ServeHTTP(w, r)
			return
		}
		here.ServeHTTP(w, r)
	})
}

// allowed reports whether a method is one of those of its route, or there is no such route.
func allowed(e *echo.Echo, r *http.Request) bool {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	c := e.AcquireContext()
	defer e.ReleaseContext(c)
	c.Reset(r, nil)
	e.Router().Find(method, echo.GetPath(r), c)
	return c.Get(echo.ContextKeyHeaderAllow) == nil
}

// sides registers only the routes of one side.
type sides struct {
	*echo.Echo

	gate              []echo.MiddlewareFunc // of each route: a group's would answer for routes that are not there
	commands, queries bool
}

func (s sides) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	if !s.queries {
		return nil
	}
	return s.Echo.GET(path, h, append(append(m, s.gate...), inTime)...)
}

func (s sides) POST(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	if !s.commands {
		return nil
	}
	return s.Echo.POST(path, h, append(m, s.gate...)...)
}

func (s sides) PATCH(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	if !s.commands {
		return nil
	}
	return s.Echo.PATCH(path, h, append(m, s.gate...)...)
}

// Errors writes every error as a problem and logs those that are ours.
func Errors(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		p := AsProblem(err)
		if m := c.Request().Method; p.Code == "outcome_unknown" && (m == http.MethodGet || m == http.MethodHead) { // which has none
			p = unreachable()
		}
		id := RequestOf(c.Request().Context()).TraceID
		if id == "" {
			id, _ = traceOf(c.Request())
		}
		if p.Status >= http.StatusInternalServerError {
			level := slog.LevelError
			switch {
			case p.Code == "not_yet" || p.Code == "rebuilding" || errors.Is(context.Cause(c.Request().Context()), context.Canceled):
				level = slog.LevelDebug // nothing is broken: it is early, or the caller has gone
			case p.RetryAfter > 0:
				level = slog.LevelDebug // the health of what is broken is logged once, and requests are counted by status
			}
			log.Log(c.Request().Context(), level, "request failed", "method", c.Request().Method, "route", c.Path(), "code", p.Code, "trace_id", id, "error", err)
		}
		if werr := p.Write(c.Response(), id); werr != nil {
			log.Debug("problem not sent", "error", werr)
		}
	}
}
