package runtime

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// The API is called by the name of its public address, whose pages may send requests to it. The admin listener is called by that name
// too, but pages at the API's address may not send requests to it.
func TestPublicURLIsOneOfOurNames(t *testing.T) {
	n := &Node{cfg: DefaultConfig(usualName)}
	cfg := &n.cfg
	cfg.PublicURL, cfg.HostNames = "https://Shop.example.com/api", make([]string, 0, 9)
	in := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") })
	ask := func(handler http.Handler, host, origin string) int {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+host+"/", nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	public, admin := n.publicGuard().In(in), n.guard().In(in)
	for _, c := range []struct {
		host, origin  string
		public, admin int
	}{
		{"shop.example.com", "", 200, 200}, {"shop.example.com:443", "https://shop.example.com", 200, 200}, {"localhost:8080", "https://shop.example.com", 200, 403},
		{"localhost:8080", "http://shop.example.com", 403, 403}, {"other.example.com", "https://shop.example.com", 421, 421}, {"shop.example.com.evil.example", "", 421, 421},
	} {
		if p, a := ask(public, c.host, c.origin), ask(admin, c.host, c.origin); p != c.public || a != c.admin {
			t.Errorf("Host %s, Origin %q: %d and %d, want %d and %d", c.host, c.origin, p, a, c.public, c.admin)
		}
	}
	if other := n.domain.hostNames(Config{HostNames: cfg.HostNames}); len(other) != 0 {
		t.Errorf("names of one configuration are in another: %v", other)
	}
}

// A listener on all interfaces can be called by the URL that it has.
func TestListenersAreCalledByTheirURLs(t *testing.T) {
	n := &Node{cfg: DefaultConfig(usualName), log: slog.New(slog.DiscardHandler)}
	for _, at := range []string{"127.0.0.1:0", ":0", "0.0.0.0:0"} {
		n.cfg.Listen = at
		w, err := n.open("api", at, "listen", http.NotFoundHandler(), n.publicGuard())
		if err != nil {
			t.Fatal(err)
		}
		w.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") }))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url(), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s answers %s", at, w.url(), res.Status)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
