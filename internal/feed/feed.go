package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// Config says what is fed, and from where.
type Config struct {
	Consumer Consumer
	Log      es.Log // a *checkpoint.Horizon is shared with others of the process; anything else gets one of its own
	Brokers  []string
	Keys     *topic.Keys // verify every message
	Topic    string      // default topic.DefaultName
	// Partitions of the topic, as the relay's row and the consumer's checkpoints have it; default topic.DefaultPartitions.
	Partitions int
	// Incarnation of the store. Messages of another one stop their partition.
	Incarnation string
	// RelayState reads the relay's row.
	RelayState func(context.Context) (topic.State, error)
	// Scan is what all feeds of a process share to read the log; nil: one of its own.
	Scan *Scan
	// Group is the consumer group's name at the broker; default "<topic>.<consumer>".
	Group      string
	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // may be nil
	Health     *health.Reporter      // nil: one of its own

	// Hold is how long events that do not concern a Selective consumer may wait for others; default: not at all.
	Hold time.Duration
	// Unanswered is how long a try to apply events may take before Health says so; default 10 s.
	Unanswered time.Duration
	// Idle is how long a partition hears nothing before it looks whether it missed something; default 1 s.
	Idle time.Duration
	// Moved gives what is woken when the relay's row may have moved. While it has not, partitions look only every five times Idle.
	// nil: they always look every Idle.
	Moved func() (woken <-chan struct{}, cancel func())
}

// Feed feeds one consumer in one process.
type Feed struct {
	cfg       Config
	log       *slog.Logger
	transport *kafka.Transport
	client    *kafka.Client
	horizon   *checkpoint.Horizon
	metrics   metrics
	health    *health.Reporter
	refused   refused

	mu   sync.Mutex
	owns map[int]*partition
	left time.Time // when it last ceased to be a member of its group; zero while it is one
}

// New checks cfg. Run does the work.
func New(cfg Config) (*Feed, error) {
	if cfg.Consumer == nil || cfg.Log == nil || cfg.RelayState == nil || len(cfg.Brokers) == 0 || cfg.Keys == nil {
		return nil, errors.New("a feed needs a consumer, a log, brokers, the relay's keys and its state")
	}
	if cfg.Incarnation == "" {
		return nil, errors.New("a feed needs the incarnation of the event store")
	}
	if cfg.Topic == "" {
		cfg.Topic = topic.DefaultName
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = topic.DefaultPartitions
	}
	if cfg.Group == "" {
		cfg.Group = cfg.Topic + "." + cfg.Consumer.Name()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Idle == 0 {
		cfg.Idle = time.Second
	}
	if cfg.Unanswered == 0 {
		cfg.Unanswered = 10 * time.Second
	}
	horizon, ok := cfg.Log.(*checkpoint.Horizon)
	if !ok {
		horizon = checkpoint.NewHorizon(cfg.Log)
		cfg.Log = horizon
	}
	if cfg.Scan == nil {
		cfg.Scan = NewScan(cfg.Log, cfg.Partitions)
	}
	if cfg.Scan.partitions != cfg.Partitions {
		return nil, fmt.Errorf("the scan counts %d partitions, the feed %d", cfg.Scan.partitions, cfg.Partitions)
	}
	f := &Feed{
		cfg:       cfg,
		log:       cfg.Logger.With("consumer", cfg.Consumer.Name()),
		transport: &kafka.Transport{ClientID: "daybook-" + cfg.Consumer.Name(), DialTimeout: 3 * time.Second, MetadataTTL: metadataTTL},
		horizon:   horizon,
		metrics:   newMetrics(cfg.Registerer, cfg.Consumer.Name()),
	}
	f.client = &kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Transport: f.transport}
	if f.health = cfg.Health; f.health == nil {
		f.health = (*health.Board)(nil).Reporter(cfg.Consumer.Name())
	}
	f.owns = map[int]*partition{}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(newLags(f))
	}
	f.health.Probe("answers", func(context.Context) error { return f.unanswered() })
	f.health.Probe("membership", func(context.Context) error { return f.membership() })
	f.health.Set(atGroup, &health.NotYet{What: "joining group " + cfg.Group})
	return f, nil
}

// origin is what the feed's messages and checkpoints are of.
func (f *Feed) origin() checkpoint.Origin {
	return checkpoint.Here(f.cfg.Incarnation, f.cfg.Partitions)
}

// Health is nil while every partition this process was given is fed; else it says what is in the way.
func (f *Feed) Health() error { return f.health.Err() }

// What failed is tried again soon, or later where each try costs others something.
var (
	soon  = backoff.Policy{First: 20 * time.Millisecond, Most: time.Second}
	later = backoff.Policy{First: 20 * time.Millisecond, Most: 2 * time.Second}
)

// metadataTTL is how long the client remembers who leads a partition. After an error it is made to forget that at once.
const metadataTTL = 30 * time.Second

const (
	// sessionTimeout is how long the group waits for a process that has died. Others take over after it.
	sessionTimeout = 6 * time.Second
	// rebalanceTimeout is how long it waits for the others to join anew. It must be well below answerTimeout: the embedded broker
	// sometimes counts a member too few, then forms no group before this has run out, and begins it anew at each join. A join is
	// given up after the sum of both and repeated. Were the joins of all processes closer to each other than this, by turns, none
	// would ever be answered. And it must be below sessionTimeout: what is counted wrong begins with a session that ends first.
	rebalanceTimeout = 3 * time.Second
	answerTimeout    = 7 * time.Second
	// heartbeats also tell a member that it has to join anew: a third of rebalanceTimeout.
	heartbeats = time.Second
	// watchEvery is how often it is looked whether the topic has other partitions. That it is gone, fetches say before.
	watchEvery = 5 * time.Second
)

// Run feeds until ctx ends, and then returns nil; everything passing is waited for. It returns an error only when the
// topic does not have the partitions that the configuration names.
func (f *Feed) Run(ctx context.Context) error {
	defer f.transport.CloseIdleConnections()
	if err := f.topic(ctx); err != nil {
		return err
	}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: f.cfg.Group, Brokers: f.cfg.Brokers, Topics: []string{f.cfg.Topic},
		Dialer:            &kafka.Dialer{ClientID: "daybook-" + f.cfg.Consumer.Name(), Timeout: 3 * time.Second},
		HeartbeatInterval: heartbeats, SessionTimeout: sessionTimeout, RebalanceTimeout: rebalanceTimeout,
		JoinGroupBackoff: 200 * time.Millisecond, Timeout: answerTimeout,
		WatchPartitionChanges: true, PartitionWatchInterval: watchEvery,
		StartOffset: kafka.FirstOffset,
	})
	if err != nil {
		return fmt.Errorf("consumer group %s: %w", f.cfg.Group, err)
	}
	defer func() { _ = group.Close() }() // waits for the generation and leaves the group; it has no errors
	for {
		gen, err := group.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			f.health.Set(atGroup, fmt.Errorf("join group %s: %w", f.cfg.Group, err))
		default:
			f.health.Set(atGroup, nil)
			f.member(time.Time{})
			g := newGeneration(f, gen)
			gen.Start(func(ended context.Context) {
				g.run(ctx, ended)
				f.member(time.Now())
			})
			if len(g.assigned) > 0 {
				continue
			}
		}
		// A broker that came up empty has no topic: a group formed on it has nothing to give away.
		if err := f.topic(ctx); err != nil {
			return err
		}
	}
}

// topic waits until the topic is there, or ctx ends. Its error says that it never will be as it must.
func (f *Feed) topic(ctx context.Context) error {
	for try := 0; ctx.Err() == nil; try++ {
		asking, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := topic.Ensure(asking, f.cfg.Brokers, f.cfg.Topic, f.cfg.Partitions)
		cancel()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the feed ends
		}
		if f.health.Set(atTopic, err); err == nil {
			return nil
		}
		if _, never := errors.AsType[*checkpoint.MismatchError](err); never {
			return err
		}
		_ = later.Wait(ctx, try+1)
	}
	return nil
}
