package runtime

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// What other machines reach is named, and warned of again and again.
func TestExposureIsWarnedOfAgain(t *testing.T) {
	n := &Node{cfg: DefaultConfig(usualName)}
	if all := n.domain.exposed(n.cfg); all != nil {
		t.Errorf("by default %v are exposed", all)
	}
	n.cfg.Listen, n.cfg.AdminListen = "0.0.0.0:8080", ":8081"
	n.domain.Servers = []Server{{Role: "fax", Listen: "127.0.0.1:1"}, {Role: "telex", Listen: ":2"}}
	if all, want := n.domain.exposed(n.cfg), []string{"--listen 0.0.0.0:8080", "--admin-listen :8081", "--telex-listen :2"}; !slices.Equal(all, want) {
		t.Errorf("%v, want %v", all, want)
	}
	ctx, stop := context.WithCancel(t.Context())
	var out bytes.Buffer
	n.log = slog.New(slog.NewTextHandler(&out, nil))
	again, ended := make(chan time.Time), make(chan error)
	go func() { ended <- n.warnOfExposure(ctx, again) }()
	again <- time.Now()
	again <- time.Now()
	stop()
	if err := <-ended; err != nil || strings.Count(out.String(), "--admin-listen :8081") < 2 {
		t.Errorf("%v %s", err, out.String())
	}
}

// Rows are shown to callers on this machine only.
func TestRowsAreShownOnLoopbackOnly(t *testing.T) {
	for listen, want := range map[string]int{"0.0.0.0:8081": http.StatusForbidden, ":8081": http.StatusForbidden, "10.0.0.7:8081": http.StatusForbidden, "127.0.0.1:8081": http.StatusNotFound, "[::1]:8081": http.StatusNotFound} {
		n := &Node{cfg: DefaultConfig(usualName)} // which has no rows
		n.cfg.AdminListen = listen
		w := httptest.NewRecorder()
		n.explainRow(w, httptest.NewRequest(http.MethodGet, "/admin/v1/projections/rooms/why?key=a", nil))
		if w.Code != want || w.Code == http.StatusForbidden && !strings.Contains(w.Body.String(), "loopback_only") {
			t.Errorf("at %s: %d %s", listen, w.Code, w.Body)
		}
	}
}
