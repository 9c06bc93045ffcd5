package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/personal"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/reader"
	"github.com/daybook-dev/daybook/internal/recovery"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
	"github.com/daybook-dev/daybook/sagas"
)

// System is this process' connections to the servers, and what every role makes of them.
type System struct {
	Addresses   Addresses
	Secrets     secrets.Secrets
	Store       *esclient.Client
	Incarnation string
	Pool        *pgxpool.Pool // the common one
	Changes     *postgres.Listener
	Keys        *personal.Keys // nil if no role here seals or opens personal data
	Catalog     *es.Catalog
	Handler     *es.Handler
	Reader      *reader.Reader

	pools map[string]*pgxpool.Pool // Pool among them
	stop  context.CancelFunc
}

// NewCatalog is every event that Daybook writes, the engines' own included.
func NewCatalog() (*es.Catalog, error) {
	return es.NewCatalog(events.Catalog(), saga.Catalog(), deployment.Catalog())
}

// versions are those of this program.
func (s *System) versions() (deployment.Versions, error) {
	machines, err := saga.Compile(sagas.All(sagas.Deadlines{})...)
	if err != nil {
		return deployment.Versions{}, err
	}
	newest := map[string]int{}
	for _, m := range machines {
		newest[m.Name] = max(newest[m.Name], m.Version)
	}
	return deployment.VersionsOf(s.Catalog, newest), nil
}

// readable refuses an event store that a newer program has written to.
func (s *System) readable(ctx context.Context) error {
	own, err := s.versions()
	if err != nil {
		return err
	}
	return deployment.Check(ctx, s.Store, own)
}

// connect opens the clients of the servers at their addresses. What is missing there is named. within is the event store, if it
// is in this process.
func connect(ctx context.Context, at Addresses, within esclient.Caller, roles []string, sec secrets.Secrets, log *slog.Logger, reg prometheus.Registerer, board *health.Board) (_ *System, err error) {
	s := &System{Addresses: at, Secrets: sec}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if at.EventStore == "" || at.Postgres == "" || at.Kafka == "" {
		return nil, fmt.Errorf("no address is known of %s: give it, or run the role that serves it", missing(at))
	}
	if s.Catalog, err = NewCatalog(); err != nil {
		return nil, err
	}
	store, err := secrets.WithLogin(at.EventStore)
	if err != nil {
		return nil, err
	}
	if s.Store, err = esclient.Open(ctx, esclient.Config{ConnectionString: store, Local: within, Logger: log, Registerer: reg}); err != nil {
		return nil, fmt.Errorf("connect to the event store: %w", err)
	}
	if s.Incarnation, err = s.Store.Incarnation(ctx); err != nil {
		return nil, fmt.Errorf("ask the event store which history it holds: %w", err)
	}
	if err = s.readable(ctx); err != nil {
		return nil, err
	}
	if err = postgres.Migrate(ctx, at.Postgres); err != nil {
		return nil, err
	}
	if err = s.openPools(ctx, roles, reg); err != nil {
		return nil, err
	}
	if sec.InstallationKey != nil {
		if err = secrets.Verify(ctx, s.Pool, secrets.Installation, sec.InstallationKey); err != nil {
			return nil, err
		}
	}
	if sec.KeyEncryptionKeys != nil {
		if s.Keys, err = personal.Open(ctx, s.pool("keys"), sec.KeyEncryptionKeys[0], sec.KeyEncryptionKeys[1:]...); err != nil {
			return nil, err
		}
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.Changes = postgres.Listen(background, at.Postgres, board.Reporter("postgres-listener"))
	s.Handler = es.NewHandler(s.Store, s.Catalog, time.Now)
	s.Reader, err = reader.New(reader.Config{Pool: s.pool("queries"), Listener: s.Changes})
	return s, err
}

// needs are the secrets that some roles use.
func needs(roles []string) (n secrets.Need) {
	for _, r := range roles {
		switch r {
		case RoleCommandAPI: // digests and ids of requests; it seals
			n |= secrets.InstallationKey | secrets.KeyEncryptionKey
		case RoleQueryAPI, RoleReactors: // they open
			n |= secrets.KeyEncryptionKey
		case RolePostgres:
			n |= secrets.PostgresPassword
		}
	}
	return n
}

// nameAt is what a process of some roles is called among the connections of Postgres.
func nameAt(roles []string) string {
	if len(roles) == 0 {
		return ""
	}
	const most = 63 // bytes that Postgres keeps
	name := recovery.Roles + strings.Join(roles, ",")
	return name[:min(len(name), most)]
}

func missing(at Addresses) string {
	switch {
	case at.EventStore == "":
		return "the event store (--eventstore)"
	case at.Postgres == "":
		return "Postgres (--postgres)"
	default:
		return "Kafka (--kafka)"
	}
}

// Close lets go of the servers.
func (s *System) Close() {
	if s.stop != nil {
		s.stop()
	}
	if s.Changes != nil {
		<-s.Changes.Done()
	}
	for _, pool := range s.pools {
		pool.Close()
	}
	if s.Store != nil {
		_ = s.Store.Close()
	}
}

// Attach connects to the system that runs on the configured data directory, or at the addresses that are configured.
// None running, while some server has no address, is fs.ErrNotExist.
func Attach(ctx context.Context, cfg Config, log *slog.Logger) (*System, error) {
	at, err := ReadAddresses(cfg.DataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	at = merge(at, configured(cfg))
	if err != nil && (at.EventStore == "" || at.Postgres == "" || at.Kafka == "") {
		return nil, fmt.Errorf("on %s: %w", cfg.DataDir, err)
	}
	if _, err := os.Stat(cfg.SecretsDir()); err != nil {
		return nil, fmt.Errorf("secrets of the running system: %w", err)
	}
	return connect(ctx, at, nil, nil, secrets.Secrets{}, log, nil, nil)
}

// configured is the addresses that Config gives.
func configured(cfg Config) Addresses {
	return Addresses{
		EventStore: cfg.EventStore, Kafka: cfg.Kafka, Postgres: cfg.Postgres, PaymentProvider: cfg.PaymentProvider,
		CommandAPI: cfg.CommandAPI, QueryAPI: cfg.QueryAPI,
	}
}
