package standalone

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// Config is what serve needs. Only DataDir is required.
type Config struct {
	DataDir     string
	Listen      string // default 127.0.0.1:2113
	AdminListen string // metrics and health; default 127.0.0.1:2114 or, if that is taken, a free port; "none": not served
	Socket      string // path of a Unix socket to serve on as well, for this user only
	Advertise   string // host:port that clients connect to; default Listen, with this machine's name for 0.0.0.0
	CertFile    string // PEM; with a key the server is a secured one: TLS, and users with passwords
	KeyFile     string
	Insecure    bool // needed to serve without a certificate beyond loopback
	// AdminPassword and OpsPassword are what the users admin and ops get when a secured server first starts on a data directory.
	// The first is needed then; without the second that of ops is unknown until an admin sets it.
	AdminPassword string
	OpsPassword   string
	MaxAppend     int    // bytes of one append; default 1 MiB
	MinFree       uint64 // bytes that must stay free on the disk, or appends are refused; default 64 MiB
	Cache         int64  // bytes of the storage engine's block cache; default 64 MiB
}

const (
	usualListen = "127.0.0.1:2113"
	usualAdmin  = "127.0.0.1:2114"
	noAdmin     = "none"
)

// Validate reports all that is wrong, each by its flag.
func (c Config) Validate() error {
	var errs []error
	wrong := func(flag, format string, args ...any) {
		errs = append(errs, fmt.Errorf("--%s: %s", flag, fmt.Sprintf(format, args...)))
	}
	if c.DataDir == "" {
		wrong("data-dir", "say where the events are kept")
	}
	for _, a := range []struct{ flag, value string }{{"listen", c.Listen}, {"admin-listen", c.AdminListen}, {"advertise", c.Advertise}} {
		if a.value == "" || a.flag == "admin-listen" && a.value == noAdmin {
			continue
		}
		host, port, err := net.SplitHostPort(a.value)
		if err != nil || port == "" || a.flag == "advertise" && host == "" {
			wrong(a.flag, "%q is not host:port", a.value)
		}
	}
	host, _, err := net.SplitHostPort(cmp.Or(c.Listen, usualListen))
	secured := c.CertFile != "" || c.KeyFile != ""
	switch {
	case secured && c.Insecure:
		wrong("insecure", "a certificate is given too: which of the two?")
	case secured && (c.CertFile == "" || c.KeyFile == ""):
		wrong("tls-cert", "it takes both --tls-cert and --tls-key")
	case !secured && (c.AdminPassword != "" || c.OpsPassword != ""):
		wrong("admin-password-file", "without --tls-cert and --tls-key no caller is asked for a password")
	case err == nil && !secured && !c.Insecure && !loopback(host):
		wrong("listen", "%s is reachable from other machines: give --tls-cert and --tls-key, or say --insecure to let everybody do everything", c.Listen)
	case secured && c.AdminPassword == "" && !store.Exists(vfs.Default, c.DataDir):
		wrong("admin-password-file", "a new secured store needs a password for its user admin")
	}
	if host, _, err := net.SplitHostPort(c.AdminListen); err == nil && !secured && !c.Insecure && !loopback(host) {
		wrong("admin-listen", "%s is reachable from other machines: give --tls-cert and --tls-key, or say --insecure", c.AdminListen)
	}
	if c.MaxAppend < 0 {
		wrong("max-append-size", "it is below 0")
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// server is what eventserver takes.
func (c Config) server(log *slog.Logger, reg prometheus.Registerer, shutdown func()) (eventserver.Config, error) {
	s := eventserver.Config{Dir: filepath.Clean(c.DataDir), Listen: cmp.Or(c.Listen, usualListen), Socket: c.Socket, Advertise: c.Advertise, Logger: log, Registerer: reg,
		MaxAppendBytes: c.MaxAppend, CertFile: c.CertFile, KeyFile: c.KeyFile, AdminPassword: c.AdminPassword, OpsPassword: c.OpsPassword,
		Shutdown: shutdown, Store: store.Config{MinFreeBytes: c.MinFree, CacheBytes: c.Cache}}
	if c.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
			return s, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", c.CertFile, c.KeyFile, err)
		}
		s.OpsPassword = cmp.Or(s.OpsPassword, rand.Text()) // not known to anyone
	}
	host, port, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return s, fmt.Errorf("--listen: %w", err)
	}
	if ip := net.ParseIP(host); s.Advertise == "" && port != "0" && (host == "" || ip != nil && ip.IsUnspecified()) {
		name, err := os.Hostname()
		if err != nil {
			return s, fmt.Errorf("this machine has no name: give --advertise: %w", err)
		}
		s.Advertise = net.JoinHostPort(name, port)
	}
	return s, nil
}

// start starts the server and says what can be done where that fails.
func start(ctx context.Context, c Config, cfg eventserver.Config) (*eventserver.Server, error) {
	if c.Socket != "" {
		if err := removeStale(ctx, c.Socket); err != nil {
			return nil, fmt.Errorf("--socket: %w", err)
		}
	}
	s, err := eventserver.Start(ctx, cfg)
	if err == nil && c.Socket != "" {
		if err := os.Chmod(c.Socket, 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("--socket: %w", err), s.Close())
		}
	}
	of, _ := errors.AsType[*net.OpError](err)
	switch {
	case err == nil:
		return s, nil
	case of != nil && of.Net == "unix":
		return nil, fmt.Errorf("--socket: %w", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is taken by another program: give another --listen (%w)", cfg.Listen, err)
	case errors.Is(err, syscall.EAGAIN):
		return nil, fmt.Errorf("data directory %s %w: one server at a time", c.DataDir, eventserver.ErrInUse)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("data directory %s: %w", c.DataDir, err)
	}
	return nil, err
}

// removeStale removes a socket that has no listener any more: that of a server which was killed.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil //nolint:nilerr // listening tells what is wrong
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("another server listens on %s", path), c.Close())
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return nil
}
