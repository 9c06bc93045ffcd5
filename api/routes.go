package api

import (
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
)

// Routes puts operations behind the gate on e: those that change something if commands is set, those that read if queries is.
func Routes(e *echo.Echo, gate *Gate, operations openapi.StrictServerInterface, commands, queries bool) {
	open := openapi.NewStrictHandler(operations, nil)
	group := e.Group("", gate.Check)
	openapi.RegisterHandlers(sides{group, commands, queries}, open)
	if queries {
		e.GET("/openapi.yaml", func(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", Spec) })
	}
}

// sides registers only the routes of one side.
type sides struct {
	*echo.Group
	commands, queries bool
}

func (s sides) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	if !s.queries {
		return nil
	}
	return s.Group.GET(path, h, m...)
}

func (s sides) POST(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	if !s.commands {
		return nil
	}
	return s.Group.POST(path, h, m...)
}

func (s sides) PATCH(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	if !s.commands {
		return nil
	}
	return s.Group.PATCH(path, h, m...)
}

// Errors writes every error as a problem and logs those that are ours.
func Errors(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		p := AsProblem(err)
		id := RequestOf(c.Request().Context()).TraceID
		if id == "" {
			id, _ = traceOf(c.Request())
		}
		if p.Status >= http.StatusInternalServerError {
			log.Error("request failed", "method", c.Request().Method, "route", c.Path(), "code", p.Code, "trace_id", id, "error", err)
		}
		if c.Request().Method == http.MethodHead {
			_ = c.NoContent(p.Status)
			return
		}
		if werr := p.Write(c.Response(), id); werr != nil {
			log.Debug("problem not sent", "error", werr)
		}
	}
}
