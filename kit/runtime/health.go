package runtime

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/daybook-dev/daybook/internal/health"
)

// probes are /livez, /readyz and /startupz. The process is alive while it answers. Details are for operators: they name
// servers and errors of internals.
func probes(board *health.Board, details bool) map[string]http.Handler {
	text := func(w http.ResponseWriter, status int, text string) {
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text)) // the client has gone
	}
	answer := func(ok func(health.Verdict) bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			all, _ := board.Ask(r.Context())
			ready := len(all) > 0
			for _, v := range all {
				ready = ready && ok(v)
			}
			status, said := http.StatusOK, "ok\n"
			if !ready {
				status, said = http.StatusServiceUnavailable, "not ready\n"
			}
			if details && r.URL.Query().Has("verbose") {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_ = json.NewEncoder(w).Encode(map[string]any{"ready": ready, "checks": all}) // the client has gone
				return
			}
			for _, v := range all {
				if details && !ok(v) {
					text(w, status, fmt.Sprintf("%s: %s\n", v.Name, v.Error))
					return
				}
			}
			text(w, status, said)
		}
	}
	return map[string]http.Handler{
		"/livez":    http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok\n") }),
		"/readyz":   answer(func(v health.Verdict) bool { return v.OK }),
		"/startupz": answer(func(v health.Verdict) bool { return !v.Starting }),
	}
}
