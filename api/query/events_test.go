package query

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// A client that takes nothing more is cut off when the deadline of a write has passed, also through all that is between
// the stream and the connection in the real server.
func TestSlowClientIsCutOff(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	e := echo.New()
	e.GET("/events", func(c echo.Context) error {
		out := http.NewResponseController(c.Response())
		for {
			if err := sendWithin(c.Response(), out, strings.Repeat(": much\n", 100_000), 300*time.Millisecond); err != nil {
				ended <- err
				return err
			}
		}
	})
	s := httptest.NewServer(otelhttp.NewHandler(e, "http"))
	defer s.Close()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("GET /events HTTP/1.1\r\nHost: daybook\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Fatalf("%q, %v", line, err)
	}
	select {
	case err := <-ended:
		if !strings.Contains(err.Error(), "timeout") {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the stream goes on writing to somebody who does not read")
	}
}
