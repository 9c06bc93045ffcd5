package app

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/internal/health"
)

// healthRoutes serves /livez, /readyz and /startupz. The process is alive while it answers. Details are for operators: they name
// servers and errors of internals.
func healthRoutes(e *echo.Echo, board *health.Board, details bool) {
	e.GET("/livez", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	answer := func(ok func(health.Verdict) bool) echo.HandlerFunc {
		return func(c echo.Context) error {
			all, _ := board.Ask(c.Request().Context())
			ready := len(all) > 0
			for _, v := range all {
				ready = ready && ok(v)
			}
			status, text := http.StatusOK, "ok\n"
			if !ready {
				status, text = http.StatusServiceUnavailable, "not ready\n"
			}
			if !details {
				return c.String(status, text)
			}
			if c.QueryParams().Has("verbose") {
				return c.JSON(status, map[string]any{"ready": ready, "checks": all})
			}
			for _, v := range all {
				if !ok(v) {
					return c.String(status, fmt.Sprintf("%s: %s\n", v.Name, v.Error))
				}
			}
			return c.String(status, text)
		}
	}
	e.GET("/readyz", answer(func(v health.Verdict) bool { return v.OK }))
	e.GET("/startupz", answer(func(v health.Verdict) bool { return !v.Starting }))
}
