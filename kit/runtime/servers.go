package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/internal/embedded/kafkaserver"
	"github.com/daybook-dev/daybook/internal/embedded/pgserver"
	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/filelock"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// Place is where an embedded server keeps its data, listens, and reports.
type Place struct {
	Dir        string
	Listen     string
	HostNames  []string // by which clients call it, besides localhost
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// server is an embedded server that runs.
type server interface {
	Addr() string
	Done() <-chan struct{}
	Err() error
	Close() error
}

// embedded is one of the servers we ship: how it is started and what address it is known by.
type embedded struct {
	role  string
	label string // for people
	port  string // the usual one; if it is taken, a free one
	start func(ctx context.Context, listen string) (server, error)
	// address is what clients connect to; kind is for the banner.
	address func(server) string
	kind    func(server) string
	into    string // its name in run.json
	given   string // an address of it elsewhere
	listen  string // where it is to listen
}

func embeddedServers(d Domain, cfg Config, sec secrets.Secrets, log *slog.Logger, reg prometheus.Registerer) []embedded {
	dir := func(name string) string { return filepath.Join(cfg.DataDir, name) }
	plain := func(server) string { return "embedded" }
	memory := cfg.memory()
	all := []embedded{
		{
			role: RoleEventStore, label: "event store", port: "2113", into: "eventstore", given: cfg.EventStore, listen: cfg.EventStoreListen, kind: plain,
			start: func(ctx context.Context, listen string) (server, error) {
				own, err := secrets.LoadEventStore(cfg.SecretsDir())
				if err != nil {
					return nil, err
				}
				s, err := eventserver.Start(ctx, eventserver.Config{Dir: dir("eventstore"), Listen: listen, Logger: log.With("server", RoleEventStore), Registerer: reg,
					CertFile: own.KeyPair, KeyFile: own.KeyPair, AdminPassword: own.Password, OpsPassword: own.Password, PasswordsHold: true,
					Store: store.Config{CacheBytes: memory.blocks, MemTableBytes: uint64(memory.tables / tablesAtOnce)}}) //nolint:gosec // above 0
				if err != nil {
					return nil, err
				}
				return &eventStore{s, own}, nil
			},
			address: func(s server) string { return s.(*eventStore).secrets.Address(s.Addr()) }, //nolint:forcetypeassert // its own
		},
		{
			role: RoleKafka, label: "kafka", port: "9092", into: "kafka", given: cfg.Kafka, listen: cfg.KafkaListen, kind: plain,
			start: func(ctx context.Context, listen string) (server, error) {
				return kafkaserver.Start(ctx, kafkaserver.Config{
					Dir: dir("kafka"), Listen: listen, Advertise: cfg.KafkaAdvertise, Logger: log.With("server", RoleKafka), Registerer: reg,
				})
			},
			address: func(s server) string { return s.Addr() },
		},
		{
			role: RolePostgres, label: "postgres", port: "5433", into: "postgres", given: cfg.Postgres, listen: cfg.PostgresListen,
			start: func(ctx context.Context, listen string) (server, error) {
				return pgserver.Start(ctx, pgserver.Config{
					Dir: dir("postgres"), Listen: listen, PasswordFile: sec.Postgres.Superuser, OwnerFile: sec.Postgres.Owner,
					Logins: map[string]string{postgres.Reader: sec.Postgres.Reader}, Memory: memory.postgres, Logger: log.With("server", RolePostgres),
				})
			},
			address: func(s server) string { return s.(*pgserver.Server).URL() },                                 //nolint:forcetypeassert // its own
			kind:    func(s server) string { return "embedded " + shortVersion(s.(*pgserver.Server).Version()) }, //nolint:forcetypeassert // its own
		},
	}
	for _, s := range d.Servers {
		all = append(all, embedded{
			role: s.Role, label: s.Label, port: s.Port, into: s.Address, given: s.Elsewhere, listen: s.Listen,
			start: func(ctx context.Context, listen string) (server, error) {
				return s.Start(ctx, Place{Dir: dir(s.Role), Listen: listen, HostNames: d.hostNames(cfg), Logger: log.With("server", s.Role), Registerer: reg})
			},
			address: func(r server) string { return r.(Running).URL() }, //nolint:forcetypeassert // its own
			kind:    func(server) string { return s.Role },
		})
	}
	return all
}

// local is the way to the event store that needs no network, if it is one of these servers.
func local(servers []*running) esclient.Caller {
	for _, r := range servers {
		if s, ok := r.server.(*eventStore); ok {
			return s.Local()
		}
	}
	return nil
}

// eventStore is the embedded event store with the secrets of those who may call it.
type eventStore struct {
	*eventserver.Server

	secrets secrets.EventStore
}

func shortVersion(v string) string {
	for i := range v {
		if v[i] == ' ' {
			return v[:i]
		}
	}
	return v
}

// running is an embedded server of this process.
type running struct {
	embedded

	server server
	lock   *filelock.Lock
	moved  bool // the usual port is taken
	took   time.Duration
}

// startServers starts, side by side, the embedded servers that this process has the role of and no address for.
// If one fails, those that started are closed again.
func startServers(ctx context.Context, cfg Config, all []embedded, log *slog.Logger) ([]*running, error) {
	started := make([]*running, len(all))
	g, ctx := errgroup.WithContext(ctx)
	for i, e := range all {
		if !cfg.Has(e.role) || e.given != "" {
			continue
		}
		g.Go(func() error {
			r, err := startServer(ctx, cfg, e, log)
			started[i] = r
			return err
		})
	}
	err := g.Wait()
	var out []*running
	for _, r := range started {
		if r != nil {
			out = append(out, r)
		}
	}
	if err != nil {
		return nil, errors.Join(err, closeServers(out, log))
	}
	return out, nil
}

func startServer(ctx context.Context, cfg Config, e embedded, log *slog.Logger) (*running, error) {
	began := time.Now()
	defer meanwhile(log, "starting the embedded "+e.label)()
	lock, err := lockServer(cfg.DataDir, e.role)
	if err != nil {
		return nil, err
	}
	listen := e.listen
	s, err := e.start(ctx, cmp.Or(listen, "127.0.0.1:"+e.port))
	moved := errors.Is(err, syscall.EADDRINUSE) && listen == ""
	if moved {
		s, err = e.start(ctx, "127.0.0.1:0")
	}
	if err != nil {
		lock.Release()
		if errors.Is(err, pgserver.ErrPassword) {
			err = fmt.Errorf("%w: take the secrets directory from its backup, or run `daybook recover`, which sets the one that is there", err)
		}
		if listen != "" {
			return nil, fmt.Errorf("start the embedded %s (--%s-listen): %w", e.label, e.role, err)
		}
		return nil, fmt.Errorf("start the embedded %s: %w", e.label, err)
	}
	return &running{e, s, lock, moved, time.Since(began)}, nil
}

// closeServers stops servers in the reverse of the order in which they are listed.
func closeServers(all []*running, log *slog.Logger) error {
	var errs []error
	for _, r := range slices.Backward(all) {
		done := meanwhile(log, "stopping the embedded "+r.label)
		if err := r.server.Close(); err != nil {
			errs = append(errs, fmt.Errorf("stop the embedded %s: %w", r.label, err))
		}
		done()
		r.lock.Release()
	}
	return errors.Join(errs...)
}

// Name and Run make a running server a role: it ends when the server does, and that is an error unless ctx ended first.
func (r *running) Name() string { return r.role }

func (r *running) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-r.server.Done():
		if err := r.server.Err(); err != nil {
			return fmt.Errorf("embedded %s: %w", r.label, err)
		}
		return fmt.Errorf("embedded %s ended by itself", r.label)
	}
}
