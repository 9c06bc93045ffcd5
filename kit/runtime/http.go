package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/daybook-dev/daybook/internal/webguard"
)

// web is an HTTP server that listens before its role runs, so that its address is known.
type web struct {
	name     string
	listener net.Listener
	guard    webguard.Guard
	server   *http.Server
}

// serve replaces the handler. The new one includes the guard.
func (w *web) serve(handler http.Handler) { w.server.Handler = handler }

// open listens at an address. What comes in there is for the handler if the guard lets it in.
func (n *Node) open(name, addr, setting string, handler http.Handler, guard webguard.Guard) (*web, error) {
	l, err := net.Listen("tcp", addr) //nolint:noctx // at once
	if err != nil {
		return nil, fmt.Errorf("%s cannot listen on %s (--%s): %w", name, addr, setting, err)
	}
	guard = guard.At(l)
	return &web{name, webguard.Listener(l, n.domain.unread), guard, &http.Server{
		Handler: guard.In(handler), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}}, nil
}

func (w *web) Name() string { return w.name }

func (w *web) url() string { return "http://" + w.listener.Addr().String() }

// Run serves until ctx ends, then lets requests under way finish for up to ten seconds, and ends when they have.
func (w *web) Run(ctx context.Context) error {
	finished := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(finished)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if w.server.Shutdown(grace) != nil {
			_ = w.server.Close()
		}
	})
	defer func() {
		if !stop() {
			<-finished // Serve returns as soon as the server is asked to stop
		}
	}()
	w.server.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }
	if err := w.server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", w.listener.Addr(), err)
	}
	return nil
}
