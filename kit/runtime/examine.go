package runtime

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	engine "github.com/daybook-dev/daybook/internal/doctor"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// ExamineOptions say how a system is examined.
type ExamineOptions struct {
	Settle       time.Duration         // how long a running system may take to come to rest; 0: a minute
	Acknowledged []doctor.Acknowledged // answers that clients were given; all must still be true
}

// Examine holds event store, Kafka and Postgres to each other, and the log to the domain's checks. It looks at the system that runs on the
// configured data directory, or at the addresses that are configured, or else at what one has left behind, with its servers alone. It
// appends nothing. Its error says that something could not be read, not that it is wrong.
func Examine(ctx context.Context, d Domain, cfg Config, log *slog.Logger, o ExamineOptions) (_ *doctor.Report, err error) {
	system, err := Attach(ctx, d, cfg, log)
	release := func() error { system.Close(); return nil }
	stopped := errors.Is(err, fs.ErrNotExist)
	if stopped {
		d, cfg = anywhere(d, cfg)
		system, release, err = borrow(ctx, d, cfg, log, d.isServer)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	machines, err := machine.Compile(d.Sagas...)
	if err != nil {
		return nil, err
	}
	keys, err := topicKeys(cfg, log)
	if err != nil {
		return nil, err
	}
	ask := engine.Config{
		Log: system.Store, Catalog: system.Catalog, Sagas: machines, Pool: system.Pool, Projections: d.Projections,
		Brokers: splitList(system.Addresses.Kafka), Keys: keys, Topic: cfg.topicName(),
		Acknowledged: o.Acknowledged, Settle: o.Settle, Stopped: stopped,
	}
	if d.Checks != nil {
		ask.Checks = d.Checks(system.Addresses)
	}
	return engine.Examine(ctx, ask)
}
