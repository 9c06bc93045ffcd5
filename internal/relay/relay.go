package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// Config of a relay. Log, Pool, Brokers and Keys must be given.
type Config struct {
	Log     es.Log
	Pool    *pgxpool.Pool // of the database with the relay's row
	Brokers []string
	Keys    *topic.Keys // sign every message

	// Schema gives the address of the JSON schema of an event's data, by type and version; "" if it has none. Default: none.
	Schema func(eventType string, version int) string

	Topic      string // default topic.DefaultName
	Partitions int    // default topic.DefaultPartitions
	// BatchBytes bounds a batch; default 900 KB. A larger event goes alone.
	BatchBytes int
	// BufferBytes bounds what is read and not acknowledged; default 32 MiB.
	BufferBytes int
	// IdleEvery is how often an idle relay notes that it has caught up; default 250 ms. When nothing has come for 2 s it is an eighth as often,
	// unless it is asked.
	IdleEvery time.Duration
	// StandbyEvery is how often a relay that is not the active one tries to become it; default 250 ms.
	StandbyEvery time.Duration

	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: none
	Health     *health.Reporter      // default: one of its own

	dial   func(ctx context.Context, network, address string) (net.Conn, error) // tests: to Kafka
	within time.Duration                                                        // tests: instead of askWithin
}

// askWithin bounds what must be known before anything is published. A server that is gone without a word must not hold the relay up.
const askWithin = 10 * time.Second

func (c *Config) defaults() error {
	if c.Log == nil || c.Pool == nil || len(c.Brokers) == 0 || c.Keys == nil {
		return errors.New("relay: an event store, a database, brokers and keys are needed")
	}
	if c.Schema == nil {
		c.Schema = func(string, int) string { return "" }
	}
	if c.Topic == "" {
		c.Topic = topic.DefaultName
	}
	if c.Partitions == 0 {
		c.Partitions = topic.DefaultPartitions
	}
	if c.BatchBytes == 0 {
		c.BatchBytes = 900_000
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = 32 << 20
	}
	if c.IdleEvery == 0 {
		c.IdleEvery = 250 * time.Millisecond
	}
	if c.StandbyEvery == 0 {
		c.StandbyEvery = 250 * time.Millisecond
	}
	if c.within == 0 {
		c.within = askWithin
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Health == nil {
		c.Health = (*health.Board)(nil).Reporter("relay")
	}
	if c.Partitions < 1 || c.BatchBytes < 1 || c.BatchBytes > topic.MaxMessageBytes || c.BufferBytes < c.BatchBytes {
		return fmt.Errorf("relay: %d partitions, batches of %d bytes, %d bytes buffered", c.Partitions, c.BatchBytes, c.BufferBytes)
	}
	return nil
}

// Relay publishes the log, or stands by while another relay does.
type Relay struct {
	cfg   Config
	state *status
}

// New makes a relay; Run starts it.
func New(cfg Config) (*Relay, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	return &Relay{cfg: cfg, state: newStatus(m, cfg.Health)}, nil
}

// Run relays until ctx ends; then its error is the context's. Outages of any server are waited out. Any other error
// is a *checkpoint.MismatchError: it is for people.
func (r *Relay) Run(ctx context.Context) error {
	for try := 0; ; try++ {
		led, err := r.lead(ctx)
		r.state.metrics.active.Set(0)
		if led { // another relay publishes now
			r.state.health.Reset()
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case permanent(err):
			return err
		case errors.Is(err, errFenced):
			r.state.metrics.fenced.Inc()
		}
		if led {
			try = 0
		}
		r.cfg.Logger.DebugContext(ctx, "relay stands by", "error", err)
		r.state.note(atCheckpoint, err)
		if err := betweenTurns.Wait(ctx, try+1); err != nil {
			return err
		}
	}
}

// Active tells whether this relay is the one that publishes.
func (r *Relay) Active() bool { return r.state.active.Load() }

// Health is nil while the relay publishes, has nothing to publish, or stands by for another; else it is what hinders it.
func (r *Relay) Health() error { return r.state.health.Err() }

// lead waits for its turn and publishes until it may not go on. led tells whether its turn came.
func (r *Relay) lead(ctx context.Context) (led bool, err error) {
	asking, cancel := context.WithTimeout(ctx, r.cfg.within)
	incarnation, err := r.fits(asking)
	cancel()
	if err != nil {
		return false, err
	}
	turn, err := waitForTurn(ctx, r.cfg, func() { r.state.note(atCheckpoint, nil) })
	if err != nil {
		return false, err
	}
	defer turn.end()
	from, err := turn.takeOver(ctx, r.cfg.Partitions, incarnation)
	if err != nil {
		return false, err
	}
	r.state.note(atCheckpoint, nil)
	r.state.metrics.takeovers.Inc()
	r.state.metrics.active.Set(1)
	r.state.active.Store(true)
	defer r.state.active.Store(false)
	r.cfg.Logger.InfoContext(ctx, "relay is the active one", "position", from.Position, "epoch", turn.epoch)
	return true, newSession(r.cfg, r.state, from, turn.save, turn.listen).run(ctx)
}

// fits checks that store, row and configuration belong together.
func (r *Relay) fits(ctx context.Context) (incarnation string, err error) {
	incarnation, err = r.cfg.Log.Incarnation(ctx)
	if err != nil {
		return "", fmt.Errorf("asking the event store who it is: %w", err)
	}
	row, err := topic.LoadState(ctx, r.cfg.Pool)
	if err != nil || row.Partitions == 0 {
		return incarnation, err
	}
	if err := belongs(row, r.cfg.Partitions, incarnation); err != nil {
		return "", err
	}
	end, err := r.cfg.Log.End(ctx)
	if err != nil {
		return "", fmt.Errorf("asking the event store where its log ends: %w", err)
	}
	if row.Position > end {
		return "", &checkpoint.MismatchError{
			What:   fmt.Sprintf("the relay has come to position %d, but the event store's log ends at %d: events are missing there", row.Position, end),
			Remedy: "restore the event store, or run `daybook recover` to begin again with what it has",
		}
	}
	return incarnation, nil
}

// belongs tells whether a row is of this installation, this history and this filter.
func belongs(row topic.State, partitions int, incarnation string) error {
	return checkpoint.Here(incarnation, partitions).Accept("the relay's checkpoint", row.Origin)
}

func permanent(err error) bool {
	_, ok := errors.AsType[*checkpoint.MismatchError](err)
	return ok
}
