// Package reader answers queries from what projections keep: from the live build, in one snapshot, no older than was
// asked for, at any moment of either axis of time.
//
// # Reached
//
// A partition has reached position p when its checkpoint has, or when the relay has and the partition's checkpoint is at
// the relay's last event of that partition: a quiet partition never sees an event at p. A query of one key waits for
// its partition, any other for all. Pointer, checkpoints, the relay's row and the rows asked for are read in one
// repeatable-read transaction, so no answer mixes two builds or overstates its position.
//
// # Moments
//
// A row's versions are ordered alike by business and by recorded time (projection.Stamp), so the version of a moment is
// the last one whose times are both at or before it: that one holds unless its successor does too. A query of a past
// known_at first waits until the relay was caught up later than that, and until the read model has come as far as the
// relay was then: after that nothing recorded before the moment can still appear.
//
// # Waiting
//
// A query that has to wait gives its connection back. One look per change, shared by all that wait in the process, finds
// those that can go on: a waiting query costs no query of its own.
//
// # Failure
//
// What has not been reached in time is ErrNotYet, never an older answer. A build whose schema is dropped between two
// statements is looked up once more.
package reader

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Config says where the rows are.
type Config struct {
	Pool *pgxpool.Pool
	// Listener tells when waiting queries may go on; nil: that is polled for.
	Listener   *postgres.Listener
	Partitions int // default topic.DefaultPartitions
}

// Reader makes views.
type Reader struct {
	cfg     Config
	waiters *waiters
	asides  chan struct{} // what operators ask at once: it leaves the connections to queries
}

const asidesAtOnce = 2

// aside waits for a turn of what operators ask. leave gives it back.
func (r *Reader) aside(ctx context.Context) (leave func(), err error) {
	select {
	case r.asides <- struct{}{}:
		return func() { <-r.asides }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for what other operators ask: %w", ctx.Err())
	}
}

// New gives a reader. It needs no closing.
func New(cfg Config) (*Reader, error) {
	if cfg.Pool == nil {
		return nil, errors.New("a reader of projections needs a pool")
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = topic.DefaultPartitions
	}
	r := &Reader{cfg: cfg, asides: make(chan struct{}, asidesAtOnce)}
	r.waiters = newWaiters(r)
	return r, nil
}

// Check tells whether a query could begin now: pointer, checkpoints and the relay's row can be read.
func (r *Reader) Check(ctx context.Context) error {
	var found bool
	err := r.cfg.Pool.QueryRow(ctx, `select exists (select 1 from daybook.projection_pointer p join daybook.projection_progress c on c.build = p.build limit 1)`).Scan(&found)
	if err != nil {
		return fmt.Errorf("read where the read models are: %w", err)
	}
	if _, err := topic.LoadState(ctx, r.cfg.Pool); err != nil {
		return err
	}
	return nil
}

// View reads the projections given, of exactly their versions. Several can be joined in one query.
func (r *Reader) View(ps ...projection.Projection) (query.View, error) {
	v, err := r.view(ps...)
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (r *Reader) view(ps ...projection.Projection) (*view, error) {
	plans, err := plan.Compile(ps...)
	if err != nil {
		return nil, err
	}
	v := &view{reader: r, plans: map[string]plan.Plan{}, slots: make(chan struct{}, max(1, r.cfg.Pool.Config().MaxConns/2)), trial: make(chan struct{}, 1)}
	for _, p := range plans {
		if _, twice := v.plans[p.Name]; twice {
			return nil, fmt.Errorf("a view has one version of projection %s", p.Name)
		}
		v.plans[p.Name] = p
		v.names = append(v.names, p.Name)
	}
	return v, nil
}

// Partition is where a key's rows are.
func (r *Reader) Partition(key string) int {
	return topic.PartitionOf(es.StreamID{Category: "any", Key: key}.Partition(), r.cfg.Partitions)
}

// Watch wakes its caller when rows may have changed in a partition that concerns accepts: for answers that follow a row until
// it ends. Wake-ups are hints, and may be late by as much as the Listener's reconnecting: poll too.
func (r *Reader) Watch(concerns func(partition int) bool) (wake <-chan struct{}, cancel func()) {
	return r.listen(func(payload string) bool { return topic.Moves(payload, concerns) })
}

func (r *Reader) listen(concerns func(payload string) bool) (wake <-chan struct{}, cancel func()) {
	if r.cfg.Listener == nil {
		return nil, func() {}
	}
	return r.cfg.Listener.SubscribeTo(topic.Moved, concerns)
}

type view struct {
	reader *Reader
	plans  map[string]plan.Plan
	names  []string
	slots  chan struct{} // queries at once: where they are held up, those of other views are not
	held   atomic.Bool   // the last query met a lock or took too long: then one at a time is enough to find out when that ends
	trial  chan struct{}
	// parkedToo gives rows that are parked as they are.
	parkedToo bool
}

const usualWait = 2 * time.Second

// Read implements query.View.
func (v *view) Read(ctx context.Context, ask query.Ask, read func(context.Context, query.Snapshot) error) (query.Answer, error) {
	ask.AsOf, ask.KnownAt = micro(ask.AsOf), micro(ask.KnownAt)
	if err := v.check(ask); err != nil {
		return query.Answer{}, err
	}
	if ask.Wait == 0 {
		ask.Wait = usualWait
	}
	late := time.NewTimer(ask.Wait)
	defer late.Stop()
	goal := goal{position: ask.MinPosition, knownAt: ask.KnownAt}
	missing := false // a schema was not there
	asked := false   // the relay, to look whether it has caught up
	for {
		answer, err := v.once(ctx, ask, &goal, read)
		switch {
		case err == nil:
			return answer, nil
		case gone(err) && !missing:
			missing = true
			continue
		case busy(err):
			return query.Answer{}, fmt.Errorf("%w: %w", query.ErrBusy, err)
		case !errors.Is(err, query.ErrNotYet):
			return query.Answer{}, err
		}
		if goal.knownAt != nil && !asked {
			asked = true
			_, _ = v.reader.cfg.Pool.Exec(ctx, `select pg_notify($1, '')`, topic.Wanted) // else the relay looks by itself
		}
		one := &waiter{view: v, key: ask.Key, goal: &goal, wake: make(chan struct{})}
		v.reader.waiters.enter(one)
		select {
		case <-one.wake:
			continue
		case <-late.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
		v.reader.waiters.leave(one)
		return query.Answer{}, err
	}
}

func (v *view) check(ask query.Ask) error {
	if !ask.Past() {
		return nil
	}
	if ask.Revision != nil && (ask.AsOf != nil || ask.KnownAt != nil) {
		return errors.New("a moment is a revision or a time, not both")
	}
	for name, p := range v.plans {
		if !p.History {
			return fmt.Errorf("%s: %w", name, query.ErrNoHistory)
		}
	}
	return nil
}

// gone says that a table or schema is not there: its build was dropped after the snapshot was taken.
func gone(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "42P01" || pg.Code == "3F000")
}

// busy says that a table was locked, or that it took too long.
func busy(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "55P03" || pg.Code == "57014")
}

func micro(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC().Truncate(time.Microsecond))
}
