package reactor

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
	"github.com/daybook-dev/daybook/internal/duerows"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/reactor"
)

// Channel is what rows changed by hand are announced on.
const Channel = "daybook_reactor"

// Config of an engine. Pool, Reactors, Partitions, Incarnation and Begin are needed.
type Config struct {
	Pool        *pgxpool.Pool
	Reactors    []reactor.Reactor
	Partitions  int    // of the topic
	Incarnation string // of the event store
	// Begin gives the position after which a reactor begins if it has no checkpoints: deployment.Begin.
	Begin func(ctx context.Context, name string) (uint64, error)
	// Listen subscribes to a channel of NOTIFY; nil: the poll alone finds rows changed by hand.
	Listen func(channel string) (wake <-chan struct{}, cancel func())

	Concurrency int           // calls at a time, of one partition; 32 if 0
	BackoffMin  time.Duration // after the first try; 1 s if 0
	BackoffMost time.Duration // 30 s if 0
	Poll        time.Duration // 1 s if 0
	AlertAfter  time.Duration // 10 min if 0
	Now         func() time.Time
	Logger      *slog.Logger
	Registerer  prometheus.Registerer // none if nil
	Health      *health.Reporter      // one of its own if nil

	patience time.Duration // how long a batch waits for the first tries at its intents; 250 ms if 0
}

// Engine is a feed.Consumer: all reactors of a process.
type Engine struct {
	cfg         Config
	log         *slog.Logger
	byName      map[string]reactor.Reactor
	names       []string
	opens       map[string][]string // event type → reactors it is an intent for
	wakes       map[string][]string // event type → reactors whose rows it makes due
	rows        *duerows.Watch
	checkpoints *checkpoint.Set
	metrics     metrics
	health      *health.Reporter

	open openStreams

	mu        sync.Mutex
	owners    map[int]*owner     // by partition
	failing   map[string]failing // open intents whose last tries ended in an error
	missed    map[waking]int     // partition, of what was held when it was to be woken
	slowUntil time.Time          // first tries are not waited for
}

type failing struct {
	partition int
	tries     int // in a row
	err       error
}

// failingMost is how many tries in a row may fail before Health says so.
const failingMost = 3

// New checks the configuration and does nothing yet.
func New(cfg Config) (*Engine, error) {
	if cfg.Pool == nil || len(cfg.Reactors) == 0 || cfg.Partitions < 1 || cfg.Begin == nil {
		return nil, errors.New("reactors: a pool, reactors, partitions and the first position are needed")
	}
	orDefault(&cfg.Concurrency, 32)
	orDefault(&cfg.BackoffMin, time.Second)
	orDefault(&cfg.BackoffMost, 30*time.Second)
	orDefault(&cfg.Poll, time.Second)
	orDefault(&cfg.AlertAfter, 10*time.Minute)
	orDefault(&cfg.patience, 250*time.Millisecond)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	e := &Engine{
		cfg: cfg, log: cfg.Logger.With("part", "reactors"), byName: map[string]reactor.Reactor{},
		opens: map[string][]string{}, wakes: map[string][]string{},
		missed: map[waking]int{},
		owners: map[int]*owner{}, failing: map[string]failing{}, open: openStreams{in: map[int]map[waking]bool{}},
	}
	e.rows = duerows.New(cfg.Poll, e.anyDue)
	for _, r := range cfg.Reactors {
		name := r.Name()
		if _, twice := e.byName[name]; twice || name == "" {
			return nil, fmt.Errorf("reactors: two of the name %q", name)
		}
		e.byName[name] = r
		e.names = append(e.names, name)
		for _, t := range r.Intents() {
			e.opens[t] = append(e.opens[t], name)
		}
		for _, t := range r.Wakes() {
			e.wakes[t] = append(e.wakes[t], name)
		}
	}
	if e.health = cfg.Health; e.health == nil {
		e.health = (*health.Board)(nil).Reporter(e.Name())
	}
	e.checkpoints = checkpoint.NewSet(checkpoint.Reactor, cfg.Pool, checkpoint.Here(cfg.Incarnation, cfg.Partitions), e.names)
	var err error
	e.metrics, err = newMetrics(cfg.Registerer)
	return e, err
}

func orDefault[T comparable](v *T, d T) {
	if *v == *new(T) {
		*v = d
	}
}

// Name is the consumer group.
func (e *Engine) Name() string { return "reactors" }

// Health is an error while a partition's open intents cannot be read, or one of them cannot be attended to, because its stream
// cannot be read or its outcome cannot be recorded, say. A provider that does not answer is none: its attempts are unknown,
// and that is recorded.
func (e *Engine) Health() error { return e.health.Err() }

// Parts of the engine's health, beside those of the feed.
func atRound(partition int) string   { return fmt.Sprintf("partition %d, open intents", partition) }
func atIntents(partition int) string { return fmt.Sprintf("partition %d, failing intents", partition) }

// tried notes how a try ended.
func (e *Engine) tried(partition int, r row, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		delete(e.failing, r.key())
	} else {
		e.failing[r.key()] = failing{partition, e.failing[r.key()].tries + 1, r.failed(err)}
	}
	e.health.Set(atIntents(partition), e.stuck(partition))
}

func (e *Engine) hasFailed(r row) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failing[r.key()].tries > 0
}

// stuck says which open intents of a partition have failed several times in a row. The caller holds e.mu.
func (e *Engine) stuck(partition int) error {
	n, first := 0, failing{}
	for _, f := range e.failing {
		if f.partition == partition && f.tries >= failingMost {
			n, first = n+1, f
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d intents cannot be attended to; one of them, %d times: %w", n, first.tries, first.err)
}

func (e *Engine) now() time.Time { return es.Micro(e.cfg.Now()) }

// retries grow with the tries there have been.
func (e *Engine) retries() backoff.Policy {
	return backoff.Policy{First: e.cfg.BackoffMin, Most: e.cfg.BackoffMost}
}

type metrics struct {
	attended *prometheus.CounterVec
	overdue  *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (metrics, error) {
	m := metrics{
		attended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "daybook_reactor_attended_total", Help: "Tries at open intents, by how they ended: done, again, error.",
		}, []string{"reactor", "result"}),
		overdue: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "daybook_reactor_overdue_total", Help: "Tries that left an intent open for longer than the alert time.",
		}, []string{"reactor"}),
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(r.Register(m.attended), r.Register(m.overdue))
}
