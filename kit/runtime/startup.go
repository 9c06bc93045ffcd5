package runtime

import (
	"context"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/topic"
)

const (
	startPart = "start"
	// startLook is how often the catching up at start is looked at.
	startLook = 50 * time.Millisecond
	// startOthers bounds how long a process that has just started waits for work of other processes.
	startOthers = 60 * time.Second
)

// starter is a kind of engine that must have reached the head that the log had when this process started, before the process is
// ready: else it would answer with less than it had shown before.
type starter struct {
	reporter *health.Reporter
	kind     checkpoint.Kind
	names    []string
	own      bool // this process does the work
}

// starters are what this process runs or answers from.
func (n *Node) starters() (all []starter) {
	add := func(reporter string, kind checkpoint.Kind, names []string) {
		if len(names) > 0 {
			all = append(all, starter{n.health.Reporter(reporter), kind, names, reporter != readModels && n.cfg.Has(RoleRelay)})
		}
	}
	d := n.domain
	switch {
	case n.cfg.Has(RoleProjections):
		add(RoleProjections, checkpoint.ReadModel, d.projectionNames())
	case d.serves(n.cfg.Roles, reads):
		add(readModels, checkpoint.ReadModel, d.projectionNames())
	}
	if n.cfg.Has(RoleSagas) {
		add(RoleSagas, checkpoint.Saga, d.sagaNames())
	}
	if n.cfg.Has(RoleReactors) {
		add(RoleReactors, checkpoint.Reactor, d.reactorNames())
	}
	return all
}

// awaitStart makes every starter not ready, and gives what watches them until they are.
func (n *Node) awaitStart(ctx context.Context) (func(context.Context), error) {
	head, err := n.system.Store.End(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the event store where its log ends: %w", err)
	}
	all, began := n.starters(), time.Now()
	for _, s := range all {
		s.reporter.Set(startPart, &health.NotYet{What: "catching up with the log"})
	}
	return func(ctx context.Context) {
		c := catchUp{node: n, head: head, began: began, first: map[checkpoint.Kind]uint64{}}
		tick := time.NewTicker(startLook)
		defer tick.Stop()
		for len(all) > 0 {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				all = c.look(ctx, all)
			}
		}
	}, nil
}

// catchUp compares checkpoints with the head of the log.
type catchUp struct {
	node  *Node
	head  uint64
	began time.Time
	goals []uint64                   // per partition, once the relay has reached the head
	first map[checkpoint.Kind]uint64 // where each kind was, on average, at the first look
}

// look gives those that have not caught up.
func (c *catchUp) look(ctx context.Context, all []starter) (left []starter) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	late := time.Since(c.began) > startOthers
	if c.goals == nil {
		state, err := topic.LoadState(ctx, c.node.system.Pool)
		if err == nil && (state.Position >= c.head || late && !c.node.cfg.Has(RoleRelay)) {
			c.goals = make([]uint64, topic.DefaultPartitions)
			copy(c.goals, state.Last)
		}
	}
	for _, s := range all {
		at, err := checkpoint.Positions(ctx, c.node.system.Pool, s.kind, s.names)
		if err != nil {
			left = append(left, s) // the value says how far it was; the failure has a reporter of its own
			continue
		}
		mean, reached := c.measure(at, len(s.names)*topic.DefaultPartitions)
		if reached || late && !s.own {
			s.reporter.Set(startPart, nil)
			continue
		}
		first, seen := c.first[s.kind]
		if !seen {
			first, c.first[s.kind] = mean, mean
		}
		s.reporter.Set(startPart, &health.NotYet{
			What: "catching up with the log", Done: mean - min(first, mean), Total: c.head - min(first, c.head), Began: c.began,
		})
		left = append(left, s)
	}
	return left
}

// measure gives where checkpoints are on average, one that has reached its goal at the head, and whether all have.
func (c *catchUp) measure(at []checkpoint.Position, wanted int) (mean uint64, reached bool) {
	if wanted == 0 {
		return c.head, true
	}
	sum, arrived := 0.0, 0
	for _, p := range at {
		if c.goals != nil && p.Partition < len(c.goals) && p.At >= c.goals[p.Partition] {
			arrived++
			sum += float64(c.head)
			continue
		}
		sum += float64(min(p.At, c.head))
	}
	return uint64(sum / float64(wanted)), arrived >= wanted
}
