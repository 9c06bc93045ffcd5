package app

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// health is what /readyz asks: each part's check by name. The process itself is alive while it answers.
type health struct {
	mu     sync.Mutex
	names  []string
	checks map[string]func(context.Context) error
}

func (h *health) add(name string, check func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]func(context.Context) error{}
	}
	h.names = append(h.names, name)
	h.checks[name] = check
}

type verdict struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// ask runs every check at once, each bounded by two seconds.
func (h *health) ask(ctx context.Context) (all []verdict, ready bool) {
	h.mu.Lock()
	names := h.names
	h.mu.Unlock()
	all, ready = make([]verdict, len(names)), len(names) > 0
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			all[i] = verdict{Name: name, OK: true}
			if err := h.checks[name](ctx); err != nil {
				all[i] = verdict{Name: name, Error: err.Error()}
			}
		})
	}
	wg.Wait()
	for _, v := range all {
		ready = ready && v.OK
	}
	return all, ready
}

// routes serves /livez and /readyz; ?verbose names each part.
func (h *health) routes(e *echo.Echo) {
	e.GET("/livez", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	answer := func(c echo.Context) error {
		all, ready := h.ask(c.Request().Context())
		status := http.StatusOK
		if !ready {
			status = http.StatusServiceUnavailable
		}
		if c.QueryParams().Has("verbose") {
			return c.JSON(status, map[string]any{"ready": ready, "checks": all})
		}
		if ready {
			return c.String(status, "ok\n")
		}
		for _, v := range all {
			if !v.OK {
				return c.String(status, fmt.Sprintf("%s: %s\n", v.Name, v.Error))
			}
		}
		return c.String(status, "not ready\n")
	}
	e.GET("/readyz", answer)
	e.GET("/startupz", answer)
}
