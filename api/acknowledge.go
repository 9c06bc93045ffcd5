package api

import (
	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/internal/failpoint"
)

// acknowledge is the point after which the caller may know the answer.
func acknowledge(next openapi.StrictHandlerFunc, _ string) openapi.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		answer, err := next(c, request)
		if err == nil && !Reads(c.Request().Method) {
			failpoint.Hit(failpoint.AckBefore)
		}
		return answer, err
	}
}

// acknowledged is the point after the answer was written.
func acknowledged(op *operation, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		if err == nil && op.side == Commands {
			failpoint.Hit(failpoint.AckAfter)
		}
		return err
	}
}
