package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/webguard"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// Serve runs the server until ctx ends, an operator asks it over the network to end, or it fails. On banner it says, when it is
// ready, where it is. What was acknowledged is on disk when Serve returns; those who were connected got Unavailable.
func Serve(ctx context.Context, c Config, version string, log *slog.Logger, reg *prometheus.Registry, banner io.Writer) (err error) {
	began := time.Now()
	if err := c.Validate(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cfg, err := c.server(log, reg, stop)
	if err != nil {
		return err
	}
	admin, err := listenAdmin(ctx, c.AdminListen)
	if err != nil {
		return err
	}
	s, err := start(ctx, c, cfg)
	if err != nil {
		return errors.Join(err, closeListener(admin))
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	failed := make(chan error, 1)
	if admin != nil {
		metrics := &http.Server{Handler: guard(c.AdminListen).At(admin).In(adminHandler(s, reg)), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
		go func() { failed <- metrics.Serve(admin) }()
		defer metrics.Close() //nolint:errcheck // scrapes may end
	}
	c.sayHello(banner, version, cfg, s, admin, time.Since(began))
	select {
	case <-ctx.Done():
		log.Info("event store server ends")
		return nil
	case err := <-failed:
		return fmt.Errorf("serve metrics and health: %w", err)
	case <-s.Done():
		return fmt.Errorf("event store server ended by itself: %w", s.Err())
	}
}

func listenAdmin(ctx context.Context, addr string) (net.Listener, error) {
	if addr == noAdmin {
		return nil, nil //nolint:nilnil // none is asked for
	}
	listen := func(addr string) (net.Listener, error) {
		return (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	}
	if addr != "" {
		l, err := listen(addr)
		if err != nil {
			return nil, fmt.Errorf("--admin-listen: %w", err)
		}
		return l, nil
	}
	l, err := listen(usualAdmin)
	if errors.Is(err, syscall.EADDRINUSE) {
		l, err = listen("127.0.0.1:0")
	}
	return l, err
}

func closeListener(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// guard keeps the pages of other sites out.
func guard(listen string) webguard.Guard {
	g := webguard.Guard{Refuse: func(w http.ResponseWriter, _ *http.Request, status int, _, detail string) {
		http.Error(w, detail, status)
	}}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		g.Names = []string{host}
	}
	return g
}

// adminHandler serves metrics, /livez, which answers while the process does, and /healthz, which also says whether appends are taken.
func adminHandler(s *eventserver.Server, reg *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	health := func(w http.ResponseWriter, _ *http.Request) {
		switch err := s.Health(); {
		case err == nil:
			fmt.Fprintln(w, "ok")
		case errors.Is(err, store.ErrFull):
			http.Error(w, err.Error()+"; reads are served", http.StatusServiceUnavailable)
		default:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}
	mux.HandleFunc("GET /healthz", health)
	mux.HandleFunc("GET /readyz", health)
	return mux
}

func (c Config) sayHello(w io.Writer, version string, cfg eventserver.Config, s *eventserver.Server, admin net.Listener, took time.Duration) {
	at := s.Addr()
	if cfg.Advertise != "" {
		at = cfg.Advertise
	}
	secured := c.CertFile != ""
	var b strings.Builder
	fmt.Fprintf(&b, "Daybook event store %s   data %s\n", version, cfg.Dir)
	line := func(label, text string) { fmt.Fprintf(&b, "  %-10s %s\n", label, text) }
	line("listens", s.Addr())
	if secured {
		line("connect", "esdb://USER:PASSWORD@"+at+"?tls=true")
	} else {
		line("connect", "esdb://"+at+"?tls=false")
	}
	if cfg.Socket != "" {
		line("socket", "unix:"+cfg.Socket)
	}
	if admin != nil {
		line("metrics", "http://"+admin.Addr().String()+"/metrics")
	}
	line("history", s.Incarnation())
	switch {
	case secured:
		fmt.Fprintln(&b, "  Secured: TLS, and users with passwords.")
	case c.Insecure:
		fmt.Fprintln(&b, "  Insecure: --insecure. Every caller may do everything.")
	default:
		fmt.Fprintln(&b, "  Insecure: everybody on this machine may do everything; it is bound to loopback only.")
	}
	fmt.Fprintf(&b, "Ready after %.1f s.\n", took.Seconds())
	_, _ = io.WriteString(w, b.String())
}
