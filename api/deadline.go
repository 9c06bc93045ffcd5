package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// What a request may take before it is answered that it could not be carried out, besides what it asks to wait for.
const (
	// CommandWithin bounds a command: beyond it the outcome is unknown to the caller, who may repeat it.
	CommandWithin = 15 * time.Second
	// QueryWithin bounds a query.
	QueryWithin = 10 * time.Second
	// maxWait bounds Prefer: wait.
	maxWait = 30 * time.Second
)

// Within is how long a request may take. A stream's is that until it begins.
func Within(r *http.Request) time.Duration {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return QueryWithin
	}
	wait, _ := Wait(r.Header)
	return CommandWithin + wait
}

// Streams tells whether a request's answer goes on for as long as its caller likes.
func Streams(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/events") }

// errLate is why a request's context ended that took too long.
var errLate = errors.New("it took too long")

// inTime bounds a query. Commands bound themselves: they know what they have done by then.
func inTime(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		req := c.Request()
		if Streams(req) {
			return next(c)
		}
		ctx, cancel := context.WithTimeoutCause(req.Context(), Within(req), errLate)
		defer cancel()
		c.SetRequest(req.WithContext(ctx))
		return next(c)
	}
}
