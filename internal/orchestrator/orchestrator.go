package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/internal/duerows"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/lru"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// Group is the name of the consumer.
const Group = "sagas"

// Channel is where waiting rows are announced.
const Channel = "daybook_saga"

// Config of an Orchestrator.
type Config struct {
	Store   Store
	Handler Sender      // usually an *es.Handler
	Catalog *es.Catalog // holds machine.Catalog too
	Pool    *pgxpool.Pool
	// Sagas are all definitions of the binary, compiled.
	Sagas []machine.Machine
	// First is the position at which each saga begins, by name: what Deploy gave.
	First map[string]uint64
	// Partitions of the topic.
	Partitions int
	// Incarnation of the log; checkpoints of another are refused.
	Incarnation string
	// Uptime tells how much of a wait does not count, because the system could not have taken the answer.
	Uptime Uptime
	// Wake, which may be nil, subscribes to Channel, which other processes notify: postgres.Listener's Subscribe.
	Wake func(channel string) (wake <-chan struct{}, cancel func())

	// RowsWithin is how long the row of an instance that was looked at may wait for others; 0: it is written at once.
	RowsWithin time.Duration

	Hold       int           // bytes of instances kept in memory when not in use; 0: 32 MiB
	Workers    int           // instances of one partition whose effects are run at a time; 0: 32
	Poll       time.Duration // how often due rows are looked for; 0: 1 s
	Resend     time.Duration // when a command that was accepted, but not answered, is sent again; 0: 1 min, then doubled up to 10 min
	Backoff    time.Duration // before the second try of a command that failed; 0: 200 ms, then doubled up to 30 s
	StuckAfter time.Duration // of failing; 0: 10 min
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
	Health     *health.Reporter      // nil: one of its own

	crash      func(failpoint.Name) // tests in this process
	stuckRetry time.Duration        // of a command that failed for so long; 0: 5 min
}

func (c *Config) retries() backoff.Policy {
	return backoff.Policy{First: c.Backoff, Most: 30 * time.Second}
}

func (c *Config) resends() backoff.Policy {
	return backoff.Policy{First: c.Resend, Most: 10 * time.Minute}
}

// Store keeps the instances' streams, and is the log in which they are found again.
type Store interface {
	es.Store
	es.Log
}

// betweenAppends lets another process' append through.
var betweenAppends = backoff.Policy{First: 2 * time.Millisecond, Most: 256 * time.Millisecond}

// Uptime is an uptime.Clock.
type Uptime interface {
	// Down gives how much of the time since a moment some partitions were not served, and up to when all of them have caught up.
	Down(partitions []int, since time.Time) (down time.Duration, upTo time.Time)
}

// Sender sends commands. Its errors are those of es.Handle.
type Sender interface {
	Send(ctx context.Context, c es.Command, call es.Call) (es.Receipt, error)
}

// Orchestrator is a feed.Consumer for all sagas of a process.
type Orchestrator struct {
	cfg         Config
	newest      map[string]*machine.Machine
	versions    map[version]*machine.Machine
	routes      map[string]*route // by event type
	checkpoints *checkpoint.Set
	instances   *lru.Cache[es.StreamID, *entry] // two entries of one instance would step against each other
	heard       heard
	saver       saver
	later       laterRows
	rows        *duerows.Watch
	metrics     *metrics
	health      *health.Reporter

	mu         sync.Mutex
	owned      map[int]*owner
	complained time.Time
	silent     int // complaints since
}

type version struct {
	name string
	v    int
}

// Deploy checks every saga of the binary against the catalogue, and says where it begins. Call it before any role of the process serves.
func Deploy(ctx context.Context, store es.Store, log es.Log, c *es.Catalog, sagas []machine.Machine) (map[string]uint64, error) {
	first := map[string]uint64{}
	if err := machine.Fits(c, sagas...); err != nil {
		return nil, err
	}
	for _, m := range sagas {
		at, err := deployment.Begin(ctx, store, log, c, m.Name)
		if err != nil {
			return nil, fmt.Errorf("deploy saga %s: %w", m.Name, err)
		}
		first[m.Name] = at
	}
	return first, nil
}

// New gives an orchestrator; a feed runs it.
func New(cfg Config) (*Orchestrator, error) {
	cfg.Hold = orElse(cfg.Hold, 32<<20)
	cfg.Workers = orElse(cfg.Workers, 32)
	cfg.Poll = orElse(cfg.Poll, time.Second)
	cfg.Resend = orElse(cfg.Resend, time.Minute)
	cfg.Backoff = orElse(cfg.Backoff, 200*time.Millisecond)
	cfg.StuckAfter = orElse(cfg.StuckAfter, 10*time.Minute)
	cfg.stuckRetry = orElse(cfg.stuckRetry, 5*time.Minute)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	switch {
	case cfg.Store == nil, cfg.Handler == nil, cfg.Catalog == nil, cfg.Pool == nil:
		return nil, errors.New("orchestrator: Store, Handler, Catalog and Pool are needed")
	case cfg.Partitions < 1:
		return nil, errors.New("orchestrator: the topic's number of partitions is needed")
	}
	o := &Orchestrator{
		cfg: cfg, newest: map[string]*machine.Machine{}, versions: map[version]*machine.Machine{},
		owned: map[int]*owner{},
	}
	o.rows = duerows.New(cfg.Poll, o.anyDue)
	for i := range cfg.Sagas {
		m := &cfg.Sagas[i]
		if _, ok := cfg.First[m.Name]; !ok {
			return nil, fmt.Errorf("orchestrator: saga %s has no first position: it was not deployed", m.Name)
		}
		o.versions[version{m.Name, m.Version}] = m
		if have := o.newest[m.Name]; have == nil || have.Version < m.Version {
			o.newest[m.Name] = m
		}
	}
	if o.health = cfg.Health; o.health == nil {
		o.health = (*health.Board)(nil).Reporter(Group)
	}
	o.routes = o.table()
	o.instances = lru.New[es.StreamID, *entry](cfg.Hold)
	o.heard.init(cfg.Catalog)
	o.checkpoints = checkpoint.NewSet(checkpoint.Saga, cfg.Pool, checkpoint.Here(cfg.Incarnation, cfg.Partitions), o.names())
	o.saver.init(cfg.Pool, o.checkpoints, o.hit)
	o.later = laterRows{within: cfg.RowsWithin, write: o.keep}
	o.metrics = newMetrics(cfg.Registerer, cfg.Pool)
	return o, nil
}

func orElse[T comparable](v, or T) T {
	var zero T
	if v == zero {
		return or
	}
	return v
}

func (o *Orchestrator) hit(n failpoint.Name) {
	failpoint.Hit(n)
	if o.cfg.crash != nil {
		o.cfg.crash(n)
	}
}

// Name is the consumer group.
func (o *Orchestrator) Name() string { return Group }

// Health is nil, or why effects are not being run.
func (o *Orchestrator) Health() error { return o.health.Err() }

func due(partition int) string  { return fmt.Sprintf("partition %d, due instances", partition) }
func runs(partition int) string { return fmt.Sprintf("partition %d, running instances", partition) }

// complain logs a warning, of many the first in a minute: in an outage every waiting instance has the same to say.
func (o *Orchestrator) complain(what string, args ...any) {
	o.mu.Lock()
	now := o.cfg.Now()
	if now.Sub(o.complained) < time.Minute {
		o.silent++
		o.mu.Unlock()
		return
	}
	others := o.silent
	o.complained, o.silent = now, 0
	o.mu.Unlock()
	o.cfg.Logger.Warn(what, append(args, "others_before", others)...)
}

func (o *Orchestrator) partition(id es.StreamID) int {
	return topic.PartitionOf(id.Partition(), o.cfg.Partitions)
}
