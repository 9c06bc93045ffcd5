package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// Config says what is examined. Log and Catalog are needed; what else is nil or empty is passed over, and the report
// says so.
type Config struct {
	Log     es.Log
	Catalog *es.Catalog
	Sagas   []machine.Machine
	Checks  []doctor.Check // made for this examination

	Pool        *pgxpool.Pool
	Projections []projection.Projection

	Brokers    []string
	Keys       *topic.Keys // of the topic's messages
	Topic      string      // default topic.DefaultName
	Partitions int         // default topic.DefaultPartitions

	// Acknowledged are answers that clients were given; all of them must still be true.
	Acknowledged []doctor.Acknowledged
	// Settle bounds the waiting for rest; default 60 s.
	Settle time.Duration
	// Patience is how long a saga may owe something, or a read model be behind, before that is a finding; default 60 s.
	Patience time.Duration
	// Stopped: no role runs, so nothing is waited for and nothing is late.
	Stopped bool
	Now     func() time.Time // default time.Now
}

// Examine reads everything and reports. Its error says that something could not be read, not that it is wrong.
func Examine(ctx context.Context, cfg Config) (*doctor.Report, error) {
	if cfg.Log == nil || cfg.Catalog == nil {
		return nil, errors.New("the doctor needs the log and the catalog")
	}
	if cfg.Topic == "" {
		cfg.Topic = topic.DefaultName
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = topic.DefaultPartitions
	}
	if cfg.Settle == 0 {
		cfg.Settle = time.Minute
	}
	if cfg.Patience == 0 {
		cfg.Patience = time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	began := time.Now()
	r, servers, models, own := doctor.NewReport(), doctor.NewReport(), doctor.NewReport(), doctor.NewReport()
	h := newHistory(cfg, r)
	var builds []*build
	settled := make(chan struct{})
	group, within := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if !cfg.Stopped { // else nothing moves, and rows can be looked at meanwhile
			select {
			case <-settled:
			case <-within.Done():
				return within.Err()
			}
		}
		builds, err = checkRows(within, cfg, models)
		return err
	})
	group.Go(func() error {
		if err := h.examineLog(within, settled); err != nil {
			return err
		}
		h.out = servers
		return h.examineServers(within)
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	h.out = own
	if err := h.readOutside(ctx); err != nil { // when nothing else reads the log any more
		return nil, err
	}
	h.look(builds)
	for _, part := range []*doctor.Report{own, servers, models} {
		r.Merge(part)
	}
	r.Position = h.end
	r.Checked["events"], r.Checked["streams"], r.Checked["commands"] = h.events, len(h.streams), len(h.commands)
	r.Checked["saga instances"] = len(h.instances)
	if h.others > 0 {
		r.Checked["events of others"] = h.others
	}
	r.Healthy, r.Seconds = len(r.Findings) == 0, time.Since(began).Seconds()
	return r, nil
}

// step is a part of the examination.
type step struct {
	name, invariants string
	check            func() error
}

func (h *history) examine(steps ...step) error {
	for _, p := range steps {
		began := time.Now()
		if err := p.check(); err != nil {
			return err
		}
		took(h.out, p.name, p.invariants, began)
	}
	return nil
}

func took(r *doctor.Report, part, invariants string, since time.Time) {
	r.Took = append(r.Took, doctor.Took{Part: part, Invariants: invariants, Seconds: time.Since(since).Seconds()})
}

// examineLog closes settled when the system has come to rest, or has had the time for it.
func (h *history) examineLog(ctx context.Context, settled chan<- struct{}) error {
	if err := h.examine(step{"the log is read, to its rest", "I1 I2 I7", func() error { return h.settle(ctx) }}); err != nil {
		return err
	}
	close(settled)
	return h.examine(
		step{"answers and acknowledgements", "I1", func() error { h.checkEffects(); h.checkAcknowledged(); return nil }},
		step{"sagas", "I6", func() error { h.checkSagas(); return nil }},
	)
}

func (h *history) examineServers(ctx context.Context) error {
	return h.examine(
		step{"what the engines keep", "I3 I6 I8", func() error { return checkEngines(ctx, h.cfg, h, h.out) }},
		step{"personal keys", "I9", func() error { return h.checkKeys(ctx) }},
		step{"the topic is read", "I8", func() error { return checkTopic(ctx, h.cfg, h, h.out) }},
	)
}
