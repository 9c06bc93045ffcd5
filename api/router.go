package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
)

// router implements the whole interface on which generated code registers operations. It embeds no echo router: if the interface gets
// another method, this does not compile. A registered route is an operation of openapi.yaml, or an error.
type router struct {
	echo       *echo.Echo
	operations map[string]*operation
	stages     []stage
	sides      []Side
	registered int
	errs       []error
}

var _ openapi.EchoRouter = (*router)(nil)

func newRouter(e *echo.Echo, gate *Gate, all []stage, sides []Side) *router {
	return &router{echo: e, operations: gate.operations, stages: all, sides: sides}
}

// add registers an operation behind its stages, if its side is served.
func (r *router) add(method, path string, h echo.HandlerFunc, m []echo.MiddlewareFunc) *echo.Route {
	op := r.operations[method+" "+path]
	switch {
	case op == nil:
		r.errs = append(r.errs, fmt.Errorf("openapi.yaml has no operation %s %s", method, path))
		return nil
	case len(m) > 0:
		r.errs = append(r.errs, fmt.Errorf("%s has middleware of its own: stages() has all of it", op.id))
		return nil
	}
	r.registered++
	if !slices.Contains(r.sides, op.side) {
		return nil
	}
	return r.echo.Add(method, path, behind(r.stages, op, h))
}

// err reports routes that could not be registered, and generated code that is older than the document.
func (r *router) err() error {
	if len(r.errs) == 0 && r.registered != len(r.operations) {
		return fmt.Errorf("openapi.yaml has %d operations, and %d are generated: go generate is due", len(r.operations), r.registered)
	}
	return errors.Join(r.errs...)
}

func (r *router) CONNECT(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodConnect, path, h, m)
}

func (r *router) DELETE(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodDelete, path, h, m)
}

func (r *router) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodGet, path, h, m)
}

func (r *router) HEAD(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodHead, path, h, m)
}

func (r *router) OPTIONS(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodOptions, path, h, m)
}

func (r *router) PATCH(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodPatch, path, h, m)
}

func (r *router) POST(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodPost, path, h, m)
}

func (r *router) PUT(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodPut, path, h, m)
}

func (r *router) TRACE(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodTrace, path, h, m)
}
