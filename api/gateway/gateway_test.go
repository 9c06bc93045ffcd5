package gateway_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/gateway"
	"github.com/daybook-dev/daybook/api/openapi"
)

func TestOperationsGoToTheirSide(t *testing.T) {
	side := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Asked", r.Method)
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
	gate, err := api.NewGate([]byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := api.NewTable(gate, log)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(api.HeadAsGet(gateway.New(table, c, q)))
	defer front.Close()
	for _, tt := range []struct{ method, path, want string }{
		{"GET", "/v1/stock/A%2FB", "query /v1/stock/A%2FB"}, {"POST", "/v1/stock/A%2FB/receipts", "command /v1/stock/A%2FB/receipts"},
		{"PATCH", "/v1/products/A%2FB", "command /v1/products/A%2FB"}, {"HEAD", "/v1/stock/A", ""},
		{"GET", "/v1/nothing", "query /v1/nothing"}, {"DELETE", "/v1/nothing", "command /v1/nothing"}, {"GET", "/openapi.yaml", "query /openapi.yaml"},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), tt.method, front.URL+tt.path, strings.NewReader("{}"))
		req.Header.Set("Origin", front.URL) // which is not that of the API behind
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if string(body) != tt.want || res.StatusCode != http.StatusOK || res.Header.Get("Asked") != tt.method {
			t.Errorf("%s %s: %s %v %s", tt.method, tt.path, res.Status, res.Header, body)
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPost} {
		req, _ := http.NewRequestWithContext(t.Context(), method, front.URL+"/v1/stock/A", nil)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "OPTIONS, GET, HEAD" {
			t.Errorf("%s: %s %v", method, res.Status, res.Header)
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

// The figures of the gateway do not count a caller who leaves as an answer.
func TestACancelledRequestIsCountedAsSuch(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	asked := make(chan struct{})
	queries := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer queries.Close()
	proxy, err := gateway.Proxy(queries.URL, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-asked; leave() }()
	answer := httptest.NewRecorder()
	proxy.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/orders", nil))
	if answer.Code != 499 {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

// An API whose connection to the gateway breaks takes the request for cancelled. The caller, who still waits, may repeat it.
func TestABrokenConnectionBehindTheGatewayIsNoCancellation(t *testing.T) {
	queries := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(api.StatusCancelled) }))
	defer queries.Close()
	proxy, err := gateway.Proxy(queries.URL, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	proxy.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/orders", nil))
	if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestProxyNeedsAnAddress(t *testing.T) {
	if _, err := gateway.Proxy("not an address", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error")
	}
}

// A gateway in front of an API of each side names the methods of both.
func TestMethodsOfBothSides(t *testing.T) {
	gate, err := api.NewGate([]byte("installation"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	routes := func(sides ...api.Side) http.Handler {
		e := api.NewEcho(log)
		if err := api.Routes(e, gate, struct{ openapi.StrictServerInterface }{}, sides...); err != nil {
			t.Fatal(err)
		}
		return e
	}
	table, err := api.NewTable(gate, log)
	if err != nil {
		t.Fatal(err)
	}
	split := api.HeadAsGet(gateway.New(table, routes(api.Commands), routes(api.Queries)))
	whole := api.HeadAsGet(routes(api.Commands, api.Queries))
	doc, err := api.LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	targets := []string{"/", "/openapi.yaml", "/v1/nothing", "/v1/products/A%2FB"}
	for path := range doc.Paths.Map() {
		targets = append(targets, regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "x"))
	}
	for _, target := range targets {
		for _, method := range []string{"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "TRACE", "OPTIONS"} {
			ask := func(h http.Handler) (int, string) {
				w := httptest.NewRecorder()
				defer func() { _ = recover() }() // an operation was reached: it is not served here
				h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
				return w.Code, w.Header().Get("Allow")
			}
			wantCode, wantAllow := ask(whole)
			if code, allow := ask(split); code != wantCode || allow != wantAllow {
				t.Errorf("%s %s: %d, Allow %q, and on one server %d, %q", method, target, code, allow, wantCode, wantAllow)
			}
		}
	}
}
