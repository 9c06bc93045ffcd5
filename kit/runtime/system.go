package runtime

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

	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/personal"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/reader"
	"github.com/daybook-dev/daybook/internal/recovery"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
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

	domain Domain
	cfg    Config
	pools  map[string]*pgxpool.Pool // Pool among them
	stop   context.CancelFunc
}

// versions are those of this program.
func (s *System) versions() (deployment.Versions, error) {
	machines, err := machine.Compile(s.domain.Sagas...)
	if err != nil {
		return deployment.Versions{}, err
	}
	newest := map[string]int{}
	for _, m := range machines {
		newest[m.Name] = max(newest[m.Name], m.Version)
	}
	own := deployment.VersionsOf(s.Catalog, newest)
	if s.cfg.name() != usualName {
		own.Of = s.cfg.name()
	}
	return own, nil
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
func connect(ctx context.Context, d Domain, cfg Config, at Addresses, within esclient.Caller, roles []string, sec secrets.Secrets, log *slog.Logger, reg prometheus.Registerer, board *health.Board) (_ *System, err error) {
	s := &System{Addresses: at, Secrets: sec, domain: d, cfg: cfg}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if at.EventStore == "" || at.Postgres == "" || at.Kafka == "" {
		return nil, fmt.Errorf("no address is known of %s: give it, or run the role that serves it", missing(at))
	}
	if s.Catalog, err = d.AllEvents(); err != nil {
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
func (d Domain) needs(roles []string) (n secrets.Need) {
	for _, r := range roles {
		own := []string{r}
		if d.serves(own, decides) { // digests and ids of requests; it seals
			n |= secrets.InstallationKey | secrets.KeyEncryptionKey
		}
		if d.serves(own, reads) { // it opens
			n |= secrets.KeyEncryptionKey
		}
		switch r {
		case RoleReactors: // they open
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
func Attach(ctx context.Context, d Domain, cfg Config, log *slog.Logger) (*System, error) {
	at, err := ReadAddresses(cfg.DataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	at = merge(at, configured(d, cfg))
	if err != nil && (at.EventStore == "" || at.Postgres == "" || at.Kafka == "") {
		return nil, fmt.Errorf("on %s: %w", cfg.DataDir, err)
	}
	if _, err := os.Stat(cfg.SecretsDir()); err != nil {
		return nil, fmt.Errorf("secrets of the running system: %w", err)
	}
	return connect(ctx, d, cfg, at, nil, nil, secrets.Secrets{}, log, nil, nil)
}

// configured is the addresses that Config gives.
func configured(d Domain, cfg Config) Addresses {
	at := Addresses{EventStore: cfg.EventStore, Kafka: cfg.Kafka, Postgres: cfg.Postgres}
	for _, s := range d.Servers {
		at.set(s.Address, s.Elsewhere)
	}
	for name, url := range d.Elsewhere {
		at.set(name, url)
	}
	return at
}
