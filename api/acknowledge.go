package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/internal/failpoint"
)

// acknowledge is where an answer leaves an operation: from here on the caller may know it.
func acknowledge(next openapi.StrictHandlerFunc, _ string) openapi.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		answer, err := next(c, request)
		if changes(c) && err == nil {
			failpoint.Hit(failpoint.AckBefore)
		}
		return answer, err
	}
}

// acknowledged is where the answer has been written.
func acknowledged(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		if changes(c) && err == nil {
			failpoint.Hit(failpoint.AckAfter)
		}
		return err
	}
}

func changes(c echo.Context) bool {
	return c.Request().Method == http.MethodPost || c.Request().Method == http.MethodPatch
}
