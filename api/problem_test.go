package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/kit/es"
)

// One map turns errors into statuses; what is not meant for callers does not reach them.
func TestErrorsBecomeProblems(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		code   es.Code
	}{
		{&es.Rejection{Code: "order_not_found", Message: "no order x"}, 404, "order_not_found"},
		{&es.Rejection{Code: "order_exists", Message: "order x exists"}, 409, "order_exists"},
		{&es.Rejection{Code: "stock_invalid", Message: "x"}, 422, "stock_invalid"},
		{es.ErrKeyReused, 422, "idempotency_key_reused"},
		{es.ErrPrecondition, 412, "precondition_failed"},
		{es.ErrConflict, 409, "conflict"},
		{es.ErrUnavailable, 503, "unavailable"},
		{es.ErrUnknownOutcome, 504, "outcome_unknown"},
		{context.DeadlineExceeded, 504, "outcome_unknown"},
		{es.ErrEventTooLarge, 413, "body_too_large"},
		{&pgconn.PgError{Code: "57P01", Message: "terminating connection"}, 503, "unavailable"},
		{&pgconn.PgError{Code: "53300", Message: "sorry, too many clients already"}, 503, "unavailable"},
		{&pgconn.PgError{Code: "42P01", Message: "no such table"}, 500, "internal"},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, 503, "unavailable"},
		{io.ErrUnexpectedEOF, 503, "unavailable"},
		{errors.New("connection to 10.0.0.1 as daybook:secret refused"), 500, "internal"},
	} {
		p := api.AsProblem(fmt.Errorf("while doing something to order-x: %w", tt.err))
		if p.Status != tt.status || p.Code != tt.code {
			t.Errorf("%v: %d %s", tt.err, p.Status, p.Code)
		}
		if p.Status >= 503 && p.RetryAfter == 0 {
			t.Errorf("%v: says nothing of when to come again", tt.err)
		}
		if tt.code == "internal" && p.Detail != "the request could not be carried out" {
			t.Errorf("a caller reads %q", p.Detail)
		}
	}
}

// A caller who leaves is no error of the server, whatever the operation makes of it.
func TestACancelledRequestIsNoServerError(t *testing.T) {
	for _, err := range []error{context.Canceled, es.ErrUnknownOutcome, errors.New("broken off")} {
		e := api.NewEcho(slog.New(slog.DiscardHandler))
		e.GET("/", func(echo.Context) error { return fmt.Errorf("asking: %w", err) })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, tt := range []struct {
			ctx       context.Context //nolint:containedctx // a case
			cancelled bool
		}{{ctx, true}, {t.Context(), false}} {
			answer := httptest.NewRecorder()
			e.ServeHTTP(answer, httptest.NewRequestWithContext(tt.ctx, http.MethodGet, "/", nil))
			if (answer.Code == 499) != tt.cancelled {
				t.Errorf("%v, cancelled %t: %d %s", err, tt.cancelled, answer.Code, answer.Body)
			}
		}
	}
}
