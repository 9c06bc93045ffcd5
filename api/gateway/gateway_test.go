package gateway_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/api/gateway"
)

func TestReadingGoesToTheQueries(t *testing.T) {
	side := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, name+" "+r.URL.EscapedPath()+r.Header.Get("Origin")+r.Header.Get("Sec-Fetch-Site"))
		})
	}
	commands, queries := httptest.NewServer(side("command")), httptest.NewServer(side("query"))
	defer commands.Close()
	defer queries.Close()
	log := slog.New(slog.DiscardHandler)
	c, err := gateway.Proxy(commands.URL, log)
	if err != nil {
		t.Fatal(err)
	}
	q, err := gateway.Proxy(queries.URL, log)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(gateway.New(c, q))
	defer front.Close()
	for method, want := range map[string]string{"GET": "query", "POST": "command", "PATCH": "command", "DELETE": "command"} {
		req, _ := http.NewRequestWithContext(t.Context(), method, front.URL+"/v1/stock/A%2FB", strings.NewReader("{}"))
		req.Header.Set("Origin", front.URL) // which is not that of the API behind
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if string(body) != want+" /v1/stock/A%2FB" {
			t.Errorf("%s went to %s", method, body)
		}
	}
	commands.Close()
	res, err := http.Post(front.URL+"/v1/orders", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusGatewayTimeout || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("with no command API: %s %s", res.Status, res.Header)
	}
}

func TestProxyNeedsAnAddress(t *testing.T) {
	if _, err := gateway.Proxy("not an address", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error")
	}
}
