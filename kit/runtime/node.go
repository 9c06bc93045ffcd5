package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/internal/telemetry"
)

// Node is a process that has everything its roles need, and has not begun them yet.
type Node struct {
	domain  Domain
	cfg     Config
	log     *slog.Logger
	metrics *prometheus.Registry
	http    *telemetry.HTTP
	health  *health.Board

	servers   []*running
	system    *System // nil if the roles are embedded servers only
	webs      []*web
	roles     []task
	addresses Addresses
	withdraw  func()
	closing   []func()
	starting  func(context.Context) // watches what catches up at start; may be nil
}

// Run does the roles of cfg until ctx ends or one of them fails. It logs to standard error.
func Run(ctx context.Context, d Domain, cfg Config) error {
	if cfg.Roles == nil {
		cfg.Roles = d.Roles()
	}
	cfg.BoundMemory()
	log, err := telemetry.NewLogger(os.Stderr, cfg.LogLevel, cfg.LogFormat)
	if err != nil {
		return err
	}
	n, err := Start(ctx, d, cfg, log)
	if err != nil {
		return err
	}
	return n.Run(ctx)
}

// Start opens the listeners, starts the embedded servers, connects to all servers and begins the deployments. What it
// opened is closed again if it fails. Node.Run must follow.
func Start(ctx context.Context, d Domain, cfg Config, log *slog.Logger) (_ *Node, err error) {
	if err := cfg.Validate(d.Roles()); err != nil {
		return nil, err
	}
	if cfg.Roles == nil {
		cfg.Roles = d.Roles()
	}
	n := &Node{domain: d, cfg: cfg, log: log, metrics: telemetry.NewRegistry(cfg.Version), health: health.New(log)}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if n.http, err = telemetry.NewHTTP(n.metrics); err != nil {
		return nil, err
	}
	if err = cfg.makeDataDir(); err != nil {
		return nil, err
	}
	telemetry.Trace(cfg.name(), cfg.Version)
	sec, err := secrets.Load(secrets.Config{Dir: cfg.SecretsDir()}, d.needs(cfg.Roles))
	if err != nil {
		return nil, err
	}
	if err = runsAlready(d, cfg); err != nil {
		return nil, err
	}
	if err = n.listen(); err != nil {
		return nil, err
	}
	if d.exposed(cfg) != nil {
		n.add("exposure", func(ctx context.Context) error {
			again := time.NewTicker(exposureEvery)
			defer again.Stop()
			return n.warnOfExposure(ctx, again.C)
		})
	}
	if n.servers, err = startServers(ctx, cfg, embeddedServers(d, cfg, sec, log, n.metrics), log); err != nil {
		return nil, err
	}
	for _, s := range n.servers {
		n.roles = append(n.roles, s)
		n.addresses.set(s.into, s.address(s.server))
		n.health.Reporter(s.role).Probe("server", s.alive)
	}
	if !n.serversOnly() {
		at, err := n.serverAddresses()
		if err != nil {
			return nil, err
		}
		if n.system, err = connect(ctx, d, cfg, at, local(n.servers), cfg.Roles, sec, log, n.metrics, n.health); err != nil {
			return nil, err
		}
		n.system.hold(cfg.memory())
		keys, err := n.topicKeys()
		if err != nil {
			return nil, err
		}
		if err = n.system.agrees(ctx, keys); err != nil {
			return nil, err
		}
		if err = n.system.raise(ctx, cfg.Version); err != nil {
			return nil, err
		}
		if err = n.assemble(ctx, keys); err != nil {
			return nil, err
		}
	}
	n.metrics.MustRegister(n.health, lags{n})
	n.add("health", n.watch)
	own := n.addresses
	own.PID = os.Getpid()
	n.withdraw, err = publish(cfg.DataDir, own)
	return n, err
}

// makeDataDir makes it for every user to pass through: Postgres may run as a user of its own.
func (c Config) makeDataDir() error {
	dir := c.DataDir
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // what is in it is private, see above
		return c.unusable(err)
	}
	probe := filepath.Join(dir, ".writable")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		return c.unusable(err)
	}
	_ = os.Remove(probe)
	return nil
}

func (c Config) unusable(err error) error {
	if diskspace.Advice(err) != "" { // another directory would not be the remedy
		return fmt.Errorf("data directory %s cannot be written: %w", c.DataDir, err)
	}
	return fmt.Errorf("data directory %s cannot be written: %w; name another with --data-dir (%s)", c.DataDir, err, envName(c.name(), "data-dir"))
}

func (n *Node) serversOnly() bool {
	for _, r := range n.cfg.Roles {
		if !n.domain.isServer(r) {
			return false
		}
	}
	return true
}

// serverAddresses is where the servers are: configured, embedded here, or run by another process on the data directory.
func (n *Node) serverAddresses() (Addresses, error) {
	at := merge(configured(n.domain, n.cfg), n.addresses)
	found, err := ReadAddresses(n.cfg.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return at, nil
	case err != nil:
		return at, err
	}
	at = merge(found, at)
	return at, nil
}

// Addresses is where this process can be reached.
func (n *Node) Addresses() Addresses { return n.addresses }

// Run does the roles until ctx ends or one of them fails, then stops everything in reverse. Nothing is lost by that:
// what was acknowledged is durable, what was under way goes on after the next start.
func (n *Node) Run(ctx context.Context) error {
	err := runAll(ctx, n.roles, n.log)
	return errors.Join(err, n.close())
}

func (n *Node) close() error {
	if n.withdraw != nil {
		n.withdraw()
	}
	for _, w := range n.webs {
		_ = w.server.Close()
		_ = w.listener.Close()
	}
	for _, do := range n.closing {
		do()
	}
	if n.system != nil {
		n.system.Close()
	}
	return closeServers(n.servers, n.log)
}

// watch logs outages although nothing asks for the health.
func (n *Node) watch(ctx context.Context) error {
	var starting sync.WaitGroup
	defer starting.Wait()
	if n.starting != nil {
		starting.Go(func() { n.starting(ctx) })
	}
	n.health.Watch(ctx, 5*time.Second) // who asks has an answer of that moment
	return nil
}

// sayWaiting is how often Ready says what it waits for.
const sayWaiting = 2 * time.Second

// Ready waits until every part says that it is ready. waiting, which may be nil, is called now and then with what is not.
func (n *Node) Ready(ctx context.Context, waiting func(what string)) error {
	said := time.Now()
	for {
		all, ready := n.health.Ask(ctx)
		if ready {
			return nil
		}
		if waiting != nil && time.Since(said) >= sayWaiting {
			said = time.Now()
			for _, v := range all {
				if !v.OK {
					waiting(v.Name + ": " + v.Error)
				}
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			for _, v := range all {
				if !v.OK {
					return fmt.Errorf("not ready: %s: %s", v.Name, v.Error)
				}
			}
			return ctx.Err()
		}
	}
}

// alive is nil while the server runs and does all it is for.
func (r *running) alive(context.Context) error {
	select {
	case <-r.server.Done():
		return fmt.Errorf("ended: %w", r.server.Err())
	default:
	}
	if s, ok := r.server.(interface{ Health() error }); ok {
		return s.Health()
	}
	return nil
}
