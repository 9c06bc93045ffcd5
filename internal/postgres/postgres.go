package postgres

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// Options of a pool. The zero value works.
type Options struct {
	// Name is shown by Postgres beside each connection. Default daybook.
	Name string
	// MaxConns bounds the pool. Default: pool_max_conns of the URL, else 16.
	MaxConns int32
	// Label names the pool in its figures. Default Name.
	Label string
	// Lock and Statement, unless 0, are how long a statement waits for a lock, and how long it may take at all. Without, what another
	// session holds keeps a connection for as long as it is held. PgBouncer refuses them: there each transaction sets its own.
	Lock, Statement time.Duration
	// PgBouncer avoids prepared statements, which a pooler that hands connections out per transaction cannot keep.
	PgBouncer bool
	// Tracer sees every query.
	Tracer pgx.QueryTracer
	// Registerer gets the pool's figures, labelled with Name.
	Registerer prometheus.Registerer
}

const defaultMaxConns = 16

// Open gives a pool of connections that have answered once. Times are scanned in UTC.
func Open(ctx context.Context, url string, opts Options) (*pgxpool.Pool, error) {
	cfg, err := config(url, opts)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("pool of Postgres connections: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to Postgres at %s:%d: %w", cfg.ConnConfig.Host, cfg.ConnConfig.Port, err)
	}
	if opts.Registerer != nil {
		if err := opts.Registerer.Register(newFigures(pool, cmp.Or(opts.Label, name(opts)))); err != nil {
			pool.Close()
			return nil, fmt.Errorf("metrics of Postgres pool %s: %w", name(opts), err)
		}
	}
	return pool, nil
}

func config(url string, opts Options) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("address of Postgres: %w", err) // pgx takes the password out of its errors
	}
	if err := passfile(url, cfg.ConnConfig); err != nil {
		return nil, err
	}
	switch {
	case opts.MaxConns > 0:
		cfg.MaxConns = opts.MaxConns
	case parameter(url, "pool_max_conns") == "":
		cfg.MaxConns = defaultMaxConns
	}
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.MaxConnLifetime = time.Hour
	cfg.MaxConnLifetimeJitter = 10 * time.Minute
	cfg.HealthCheckPeriod = 15 * time.Second
	cfg.ShouldPing = doubtful
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	if opts.PgBouncer {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	noticeTheDead(cfg.ConnConfig)
	cfg.ConnConfig.Tracer = opts.Tracer
	cfg.ConnConfig.RuntimeParams["application_name"] = name(opts)
	for parameter, d := range map[string]time.Duration{"lock_timeout": opts.Lock, "statement_timeout": opts.Statement} {
		if d > 0 && cfg.ConnConfig.DefaultQueryExecMode != pgx.QueryExecModeExec {
			cfg.ConnConfig.RuntimeParams[parameter] = strconv.FormatInt(d.Milliseconds(), 10)
		}
	}
	cfg.AfterConnect = utc
	return cfg, nil
}

func name(opts Options) string {
	if opts.Name == "" {
		return "daybook"
	}
	return opts.Name
}

// utc makes every time that is read a UTC one: it would else be in the machine's zone, and two equal moments of two
// zones are not == and print unlike.
func utc(_ context.Context, conn *pgx.Conn) error {
	types := conn.TypeMap()
	moment := &pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}}
	types.RegisterType(moment)
	types.RegisterType(&pgtype.Type{Name: "_timestamptz", OID: pgtype.TimestamptzArrayOID, Codec: &pgtype.ArrayCodec{ElementType: moment}})
	return nil
}
