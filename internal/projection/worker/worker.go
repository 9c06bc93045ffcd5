package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/projection"
	"github.com/daybook-dev/daybook/internal/relay"
)

// Config says which projections are run, and where their rows are.
type Config struct {
	Pool        *pgxpool.Pool // on a migrated database
	Projections []projection.Projection
	Catalog     *es.Catalog
	Log         es.Log // where builds that are behind catch up from
	Incarnation string // of the event store
	Partitions  int    // default relay.DefaultPartitions
	// Writers is how many connections of its own the worker has; default 4: two for what is live, others for builds that catch up.
	Writers    int32
	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // may be nil
	Health     *health.Reporter      // nil: one of its own
}

// Worker runs projections. It is a feed.Consumer.
type Worker struct {
	cfg     Config
	log     *slog.Logger
	builds  []*build // of every registered version
	ids     []int64  // theirs
	reads   map[string]bool
	scan    *feed.Scan
	turns   turns
	writers *pgxpool.Pool
	metrics metrics
	health  *health.Reporter
}

var _ feed.Selective = (*Worker)(nil)

// New checks the projections, makes what builds are missing, and is then ready to be fed. Errors that waiting does not
// mend are *ConfigError. Close it after its feed has ended.
func New(ctx context.Context, cfg Config) (*Worker, error) {
	if cfg.Pool == nil || cfg.Catalog == nil || cfg.Log == nil || cfg.Incarnation == "" {
		return nil, errors.New("projections need a pool, a catalog, the log and its incarnation")
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = relay.DefaultPartitions
	}
	if cfg.Writers == 0 {
		cfg.Writers = 4
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	plans, err := projection.Compile(cfg.Projections...)
	if err != nil {
		return nil, &ConfigError{err}
	}
	w := &Worker{
		cfg: cfg, log: cfg.Logger, reads: map[string]bool{}, scan: feed.NewScan(cfg.Log, cfg.Partitions),
		metrics: newMetrics(cfg.Registerer), health: cfg.Health,
	}
	if w.health == nil {
		w.health = (*health.Board)(nil).Reporter(w.Name())
	}
	w.turns.write = w.applyAll
	for _, plan := range plans {
		for _, typ := range plan.Types {
			w.reads[typ] = true
		}
	}
	if err := w.checkTypes(plans); err != nil {
		return nil, &ConfigError{err}
	}
	if w.builds, err = openBuilds(ctx, cfg, plans); err != nil {
		return nil, err
	}
	for _, b := range w.builds {
		w.ids = append(w.ids, b.id)
	}
	return w, w.openWriters(ctx)
}

// ConfigError says that the program and what it finds do not belong together; trying again does not help.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

// checkTypes refuses folds of events that the catalog does not have: they would never be called.
func (w *Worker) checkTypes(plans []projection.Plan) error {
	known := map[string]bool{}
	for d := range w.cfg.Catalog.Definitions() {
		known[d.Type] = true
	}
	var unknown []error
	for _, plan := range plans {
		for _, typ := range plan.Types {
			if !known[typ] {
				unknown = append(unknown, fmt.Errorf("projection %s folds %s, which is not in the catalog", plan.Name, typ))
			}
		}
	}
	return errors.Join(unknown...)
}

// openWriters makes the worker's own connections. They know the types of its tables' rows.
func (w *Worker) openWriters(ctx context.Context) error {
	cfg := w.cfg.Pool.Config()
	cfg.MinConns, cfg.MaxConns = 0, w.cfg.Writers
	before := cfg.AfterConnect
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if before != nil {
			if err := before(ctx, conn); err != nil {
				return err
			}
		}
		for _, b := range w.builds {
			b.register(conn.TypeMap())
		}
		return nil
	}
	var err error
	if w.writers, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return fmt.Errorf("connections of the projections: %w", err)
	}
	return nil
}

// Close gives the worker's connections back.
func (w *Worker) Close() { w.writers.Close() }

// Name implements feed.Consumer.
func (w *Worker) Name() string { return "projections" }

// Concerns implements feed.Selective: whether some projection reads the event.
func (w *Worker) Concerns(_ int, event es.Record) bool { return w.reads[event.Type] }

// Checkpoints implements feed.Consumer: how far the first of the builds is. Those behind catch up on their own.
func (w *Worker) Checkpoints(ctx context.Context, partitions []int) (map[int]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	at := make(map[int]uint64, len(partitions))
	if len(w.builds) == 0 || len(partitions) == 0 {
		return at, nil
	}
	rows, err := w.writers.Query(ctx, `select part, max(position), count(*) from daybook.projection_checkpoint
		where build = any($1) and part = any($2) group by part`, w.ids, partitions)
	if err != nil {
		return nil, fmt.Errorf("reading the projections' checkpoints: %w", err)
	}
	var (
		part, builds int
		position     int64
	)
	_, err = pgx.ForEachRow(rows, []any{&part, &position, &builds}, func() error {
		if builds == len(w.builds) {
			at[part] = uint64(position) //nolint:gosec // checkpoints are not negative
		}
		return nil
	})
	if err == nil && len(at) != len(partitions) {
		err = fmt.Errorf("of %d partitions only %d have a checkpoint for every build", len(partitions), len(at))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the projections' checkpoints: %w", err)
	}
	return at, nil
}

// Own implements feed.Consumer: the partition's builds that are behind catch up, and then whoever has partition 0 points
// to the new ones when they have everywhere.
func (w *Worker) Own(ctx context.Context, partition int) {
	again(ctx, func() bool {
		err := w.catchUp(ctx, partition)
		if ctx.Err() == nil {
			w.health.Set(behind(partition), err)
		}
		return err == nil
	})
	w.health.Forget(behind(partition))
	if partition != 0 {
		return
	}
	again(ctx, func() bool {
		left, err := w.flip(ctx)
		if ctx.Err() == nil {
			w.health.Set(pointing, err)
		}
		return err == nil && left == 0
	})
	w.health.Forget(pointing)
}

// again tries once a second until it is done.
func again(ctx context.Context, done func() bool) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Parts of the worker's health, beside those of the feed.
const pointing = "pointers of new builds"

func behind(partition int) string { return fmt.Sprintf("partition %d, builds behind", partition) }

// Health says which builds cannot catch up; nil if none is held up. What holds up the others is the feed's to say.
func (w *Worker) Health() error { return w.health.Err() }

// register lets a connection send arrays of the tables' rows as they were encoded.
func (b *build) register(types *pgtype.Map) {
	for _, s := range []*shape{b.live, b.history} {
		if s != nil {
			types.RegisterType(&pgtype.Type{Name: s.name + "[]", OID: s.array, Codec: pgtype.ByteaCodec{}})
		}
	}
}

type metrics struct {
	events, rows prometheus.Counter
	seconds      prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		events: prometheus.NewCounter(prometheus.CounterOpts{Name: "daybook_projection_events_total", Help: "Events folded into rows."}),
		rows:   prometheus.NewCounter(prometheus.CounterOpts{Name: "daybook_projection_rows_total", Help: "Rows written, versions of the history apart."}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "daybook_projection_batch_seconds", Help: "Time to load, fold and write one batch.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
	}
	if reg != nil {
		reg.MustRegister(m.events, m.rows, m.seconds)
	}
	return m
}
