package api

import (
	"errors"

	"github.com/labstack/echo/v4"
)

// Route puts one operation on e, as Routes does with all of them.
func (g *Gate) Route(e *echo.Echo, method, path string, h echo.HandlerFunc) error {
	r := newRouter(e, g, stages(g, Front{}), []Side{Commands, Queries})
	r.add(method, path, h, nil)
	return errors.Join(r.errs...)
}
