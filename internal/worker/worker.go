package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/groupcommit"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// Config says which projections are run, and where their rows are.
type Config struct {
	Pool        *pgxpool.Pool // on a migrated database
	Projections []projection.Projection
	Catalog     *es.Catalog
	Log         es.Log // where builds that are behind catch up from
	Incarnation string // of the event store
	Partitions  int    // default topic.DefaultPartitions
	// Writers is how many connections of its own the worker has for the builds' common transactions; default DefaultWriters. Builds that go by
	// themselves have as many again and two more.
	Writers    int32
	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // may be nil
	Health     *health.Reporter      // nil: one of its own
}

func (c Config) origin() checkpoint.Origin { return checkpoint.Here(c.Incarnation, c.Partitions) }

// Worker runs projections. It is a feed.Consumer.
type Worker struct {
	cfg     Config
	log     *slog.Logger
	builds  []*build // of every registered version
	ids     []int64  // theirs
	reads   map[string]bool
	scan    *feed.Scan
	turns   *groupcommit.Group[*share]
	writers *pgxpool.Pool
	aparts  *pgxpool.Pool // for builds that go by themselves
	metrics metrics
	// settings begin each transaction.
	settings string
	health   *health.Reporter

	standings map[*build]*standing
	tolerance tolerance
	long      atomic.Bool // the last common transaction was: the next is watched

	mu     sync.Mutex
	groups map[int]group         // by partition, as last read or changed
	wakes  map[int]chan struct{} // by partition, when its group changes
}

var _ feed.Selective = (*Worker)(nil)

const (
	DefaultWriters = 4
	forAparts      = 2 // more than writers

	// Connections is how many a worker with the default of writers may open besides its pool's.
	Connections = 2*DefaultWriters + forAparts
)

// New checks the projections, makes what builds are missing, and is then ready to be fed. Errors that waiting does not
// mend are *ConfigError. Close it after its feed has ended.
func New(ctx context.Context, cfg Config) (*Worker, error) {
	if cfg.Pool == nil || cfg.Catalog == nil || cfg.Log == nil || cfg.Incarnation == "" {
		return nil, errors.New("projections need a pool, a catalog, the log and its incarnation")
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = topic.DefaultPartitions
	}
	if cfg.Writers == 0 {
		cfg.Writers = DefaultWriters
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	plans, err := plan.Compile(cfg.Projections...)
	if err != nil {
		return nil, &ConfigError{err}
	}
	w := &Worker{
		cfg: cfg, log: cfg.Logger, reads: map[string]bool{}, scan: feed.NewScan(cfg.Log, cfg.Partitions),
		metrics: newMetrics(cfg.Registerer), health: cfg.Health, tolerance: usual, standings: map[*build]*standing{}, groups: map[int]group{}, wakes: map[int]chan struct{}{},
	}
	if w.health == nil {
		w.health = (*health.Board)(nil).Reporter(w.Name())
	}
	w.turns = inTurns(w.applyAll)
	for _, p := range plans {
		for _, typ := range p.Types {
			w.reads[typ] = true
		}
	}
	if err := w.checkTypes(plans); err != nil {
		return nil, &ConfigError{err}
	}
	if w.builds, err = openBuilds(ctx, cfg, plans); err != nil {
		return nil, err
	}
	slices.SortFunc(w.builds, func(a, b *build) int { return cmp.Compare(a.id, b.id) })
	for _, b := range w.builds {
		w.ids = append(w.ids, b.id)
		w.standings[b] = newStanding()
	}
	if w.settings = settings; unprepared(cfg.Pool.Config().ConnConfig) {
		w.settings = eachTime()
	}
	if w.writers, err = w.connections(ctx, cfg.Writers); err != nil {
		return nil, err
	}
	if w.aparts, err = w.connections(ctx, cfg.Writers+forAparts); err != nil {
		w.writers.Close()
		return nil, err
	}
	return w, nil
}

func (w *Worker) standing(b *build) *standing { return w.standings[b] }

// ConfigError says that the program and what it finds do not belong together; trying again does not help.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

// checkTypes refuses folds of events that the catalog does not have: they would never be called.
func (w *Worker) checkTypes(plans []plan.Plan) error {
	known := map[string]bool{}
	for d := range w.cfg.Catalog.Definitions() {
		known[d.Type] = true
	}
	var unknown []error
	for _, p := range plans {
		for _, typ := range p.Types {
			if !known[typ] {
				unknown = append(unknown, fmt.Errorf("projection %s folds %s, which is not in the catalog", p.Name, typ))
			}
		}
	}
	return errors.Join(unknown...)
}

// connections makes connections of the worker's own. They know the types of its tables' rows.
func (w *Worker) connections(ctx context.Context, most int32) (*pgxpool.Pool, error) {
	cfg := w.cfg.Pool.Config()
	cfg.MinConns, cfg.MaxConns = 0, most
	if !unprepared(cfg.ConnConfig) { // statements are prepared outside of transactions, which waits for locks, too
		lock, statement := usual.tables.texts()
		cfg.ConnConfig.RuntimeParams["lock_timeout"], cfg.ConnConfig.RuntimeParams["statement_timeout"] = lock, statement
		maps.Copy(cfg.ConnConfig.RuntimeParams, ofSession)
	}
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
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connections of the projections: %w", err)
	}
	return pool, nil
}

// Close gives the worker's connections back.
func (w *Worker) Close() {
	w.writers.Close()
	w.aparts.Close()
}

// Name implements feed.Consumer.
func (w *Worker) Name() string { return "projections" }

// Concerns implements feed.Selective: whether some projection reads the event, or an operator acts by it on what is parked.
func (w *Worker) Concerns(_ int, event es.Record) bool {
	return w.concerned(event) || event.Stream.Category == operation.Category
}

// concerned tells whether some projection must look at an event.
func (w *Worker) concerned(r es.Record) bool {
	return w.reads[r.Type] || slices.ContainsFunc(w.builds, func(b *build) bool { return b.concerned(r) })
}

// Checkpoints implements feed.Consumer: where the groups of the partitions stand.
func (w *Worker) Checkpoints(ctx context.Context, partitions []int) (map[int]uint64, error) {
	if len(w.builds) == 0 || len(partitions) == 0 {
		return map[int]uint64{}, nil
	}
	return w.regroup(ctx, partitions)
}

// flips points to new builds, and shows those that serve, until there is nothing to do.
func (w *Worker) flips(ctx context.Context) {
	defer w.health.Forget(pointing)
	defer w.health.Forget(showing)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		left, err := w.flip(ctx)
		if ctx.Err() == nil {
			w.health.Set(pointing, health.Partly(err))
		}
		unseen := w.show(ctx)
		if ctx.Err() == nil {
			w.health.Set(showing, health.Partly(unseen))
		}
		if err == nil && left == 0 && unseen == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Parts of the worker's health, beside those of the feed.
const (
	pointing = "pointers of new builds"
	showing  = "views for people"
)

func (b *build) part(partition int) string {
	return fmt.Sprintf("read model %s, partition %d", b.plan.Name, partition)
}

// Health says which builds are held up, each by itself; nil if none is. What holds up the others is the feed's to say.
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
