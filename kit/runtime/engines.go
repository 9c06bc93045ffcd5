package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/orchestrator"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/reactor"
	"github.com/daybook-dev/daybook/internal/relay"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/uptime"
	"github.com/daybook-dev/daybook/internal/worker"
	kit "github.com/daybook-dev/daybook/kit/reactor"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// attending is how long a try at an open intent may take besides the provider's own time.
const attending = 5 * time.Second

// deploy begins every saga and reactor of this binary, and says where each saga begins.
func (s *System) deploy(ctx context.Context) (map[string]uint64, error) {
	machines, err := machine.Compile(s.domain.Sagas...)
	if err != nil {
		return nil, err
	}
	first, err := orchestrator.Deploy(ctx, s.Store, s.Store, s.Catalog, machines)
	if err != nil {
		return nil, err
	}
	for _, name := range s.domain.reactorNames() {
		if _, err := s.begin(ctx, name); err != nil {
			return nil, err
		}
	}
	return first, nil
}

func (s *System) begin(ctx context.Context, name string) (uint64, error) {
	return deployment.Begin(ctx, s.Store, s.Store, s.Catalog, name)
}

// relayState reads how far the relay has come.
func relayState(pool *pgxpool.Pool) func(context.Context) (topic.State, error) {
	return func(ctx context.Context) (topic.State, error) { return topic.LoadState(ctx, pool) }
}

// relayMoved gives what is woken when the relay's row has moved.
func (s *System) relayMoved() (woken <-chan struct{}, cancel func()) {
	return s.Changes.SubscribeTo(topic.Moved, func(payload string) bool { return payload == topic.CheckpointMoved })
}

// How long checkpoints may stay behind for events that change nothing of theirs. Those of the projections may not: they are the position
// that answers name, and queries of lists wait for them. The others' are not waited for.
const (
	holdRows   = 0
	holdOthers = 200 * time.Millisecond
	// holdRowsOfSagas is how long the row of an instance may, after nothing more is owed at the moment: less than its checkpoint.
	holdRowsOfSagas = 100 * time.Millisecond
)

// readModels is the reporter of what queries read.
const readModels = "read-models"

// engines makes the roles that carry events on: relay, projections, sagas, reactors.
func (n *Node) engines(ctx context.Context, keys *topic.Keys, first map[string]uint64) error {
	s := n.system
	brokers := splitList(s.Addresses.Kafka)
	n.health.Reporter("postgres-client").Probe("pool", s.Pool.Ping)
	if s.Keys != nil {
		n.health.Reporter("keys").Probe("table", s.Keys.Check)
	}
	n.health.Reporter(readModels).Probe("snapshot", s.Reader.Check)
	n.health.Reporter("eventstore-client").Probe("log", func(ctx context.Context) error { _, err := s.Store.End(ctx); return err })
	log := n.topic()
	if n.cfg.Has(RoleRelay) {
		r, err := relay.New(relay.Config{
			Log: log, Pool: s.Pool, Brokers: brokers, Topic: n.cfg.topicName(), Keys: keys, Schema: n.schemas(), Logger: n.log, Registerer: n.metrics,
			Health: n.health.Reporter(RoleRelay),
		})
		if err != nil {
			return err
		}
		n.add(RoleRelay, r.Run)
	}
	scan := feed.NewScan(log, topic.DefaultPartitions)
	feedOf := func(c feed.Consumer, hold time.Duration) (*feed.Feed, error) {
		return feed.New(feed.Config{
			Consumer: c, Hold: hold, Log: log, Brokers: brokers, Topic: n.cfg.topicName(), Keys: keys, Incarnation: s.Incarnation, RelayState: relayState(s.Pool), Scan: scan,
			Moved: s.relayMoved, Logger: n.log, Registerer: n.metrics, Health: n.health.Reporter(c.Name()),
		})
	}
	var err error
	if n.starting, err = n.awaitStart(ctx); err != nil {
		return err
	}
	for _, e := range []struct {
		role string
		hold time.Duration
		make func() (feed.Consumer, func(), error)
	}{
		{RoleProjections, holdRows, func() (feed.Consumer, func(), error) { return n.projector(ctx) }},
		{RoleSagas, holdOthers, func() (feed.Consumer, func(), error) { return n.orchestrator(ctx, first) }},
		{RoleReactors, holdOthers, func() (feed.Consumer, func(), error) { return n.reactors(ctx) }},
	} {
		if !n.cfg.Has(e.role) || !n.domain.has(e.role) {
			continue
		}
		consumer, done, err := e.make()
		if err != nil {
			return err
		}
		f, err := feedOf(consumer, e.hold)
		if err != nil {
			return err
		}
		n.add(e.role, func(ctx context.Context) error { defer done(); return f.Run(ctx) })
	}
	return nil
}

func (n *Node) projector(ctx context.Context) (feed.Consumer, func(), error) {
	s := n.system
	if err := n.allowReading(ctx); err != nil {
		return nil, nil, err
	}
	w, err := worker.New(ctx, worker.Config{
		Pool: s.Pool, Projections: n.domain.Projections, Catalog: s.Catalog, Log: s.Store, Incarnation: s.Incarnation, Logger: n.log, Registerer: n.metrics,
		Health: n.health.Reporter(RoleProjections),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("projections: %w", err)
	}
	return w, w.Close, nil
}

// allowReading lets the role for people read the views, if there is one.
func (n *Node) allowReading(ctx context.Context) error {
	err := postgres.AllowReading(ctx, n.system.Pool)
	if errors.Is(err, postgres.ErrNoReader) {
		n.log.Info("no role for reading the views: an administrator of Postgres can make it", "sql", postgres.ReaderSQL)
		return nil
	}
	return err
}

func (n *Node) orchestrator(ctx context.Context, first map[string]uint64) (feed.Consumer, func(), error) {
	s := n.system
	machines, err := machine.Compile(n.domain.Sagas...)
	if err != nil {
		return nil, nil, err
	}
	names := make([]string, len(machines))
	for i, m := range machines {
		names[i] = m.Name
	}
	clock := uptime.New(uptime.Config{
		Pool: s.Pool, Partitions: topic.DefaultPartitions, Sagas: names, Reactors: n.domain.reactorNames(), Attending: n.domain.within() + attending,
	})
	health := n.health.Reporter(RoleSagas)
	n.add("sagas-uptime", func(ctx context.Context) error {
		clock.Run(ctx, func(err error) { health.Set("uptime", err) })
		return nil
	})
	o, err := orchestrator.New(orchestrator.Config{
		Store: s.Store, Handler: s.Handler, Catalog: s.Catalog, Pool: s.pool("sagas"), Sagas: machines, First: first,
		Partitions: topic.DefaultPartitions, Incarnation: s.Incarnation, Uptime: clock, Wake: s.Changes.Subscribe, RowsWithin: holdRowsOfSagas,
		Hold: int(n.cfg.memory().instances), Logger: n.log, Registerer: n.metrics, Health: health,
	})
	if err != nil {
		return nil, nil, err
	}
	return o, func() {}, o.Prepare(ctx)
}

func (n *Node) reactors(ctx context.Context) (feed.Consumer, func(), error) {
	s, services := n.system, n.services()
	all := make([]kit.Reactor, len(n.domain.Reactors))
	for i, r := range n.domain.Reactors {
		var err error
		if all[i], err = r.New(services); err != nil {
			return nil, nil, err
		}
		if all[i].Name() != r.Name {
			return nil, nil, fmt.Errorf("the reactor %s calls itself %s", r.Name, all[i].Name())
		}
	}
	e, err := reactor.New(reactor.Config{
		Pool: s.pool("reactors"), Reactors: all, Partitions: topic.DefaultPartitions, Incarnation: s.Incarnation,
		Begin: s.begin, Listen: s.Changes.Subscribe, Logger: n.log, Registerer: n.metrics,
		Health: n.health.Reporter(RoleReactors),
	})
	if err != nil {
		return nil, nil, err
	}
	return e, func() {}, e.Prepare(ctx)
}

// within bounds one call of any reactor.
func (d Domain) within() (most time.Duration) {
	for _, r := range d.Reactors {
		most = max(most, r.Within)
	}
	return most
}

// has tells whether there is anything for an engine to do.
func (d Domain) has(role string) bool {
	switch role {
	case RoleProjections:
		return len(d.Projections) > 0
	case RoleSagas:
		return len(d.Sagas) > 0
	case RoleReactors:
		return len(d.Reactors) > 0
	}
	return true
}
