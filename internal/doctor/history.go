package doctor

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// history is what the log comes to, folded as it is read.
type history struct {
	cfg Config
	top *doctor.Report // says whether the system is at rest
	out *doctor.Report // takes what is found now

	end      uint64
	events   int
	others   int             // of events
	own      map[string]bool // categories of the domain
	newest   time.Time       // recorded time of the newest event
	streams  map[es.StreamID]*stream
	ids      map[es.UUID]uint64 // of every event, with its position
	commands map[es.UUID]*command
	effects  []effect
	last     []uint64         // per partition, of what is relayed
	places   map[uint64]place // of what is relayed

	machines  map[string]machine.Machine // the newest of each name
	instances map[es.StreamID]*instance
	byKey     map[string][]*instance
	due       map[es.StreamID]start // instances that must be
	dueOf     map[string][]es.StreamID
	deployed  map[string]uint64
	sealed    map[sealedUnder]*sealedUse
	open      intents
	attended  map[es.UUID]bool // open, of a system at rest
}

type stream struct {
	next      uint64 // revision
	positions []uint64
}

// command is where the events of one command stand.
type command struct {
	stream es.StreamID
	next   uint64 // revision after its last event
	n      int
	ref    es.CommandRef
}

// effect is an event that answers a saga.
type effect struct {
	id       es.UUID
	instance string
	stream   es.StreamID
	revision uint64
}

// place is where an event is in its partition, and a sum of all that it says.
type place struct {
	partition int
	prev      uint64
	sum       uint64
}

func sumOf(r es.Record) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = fmt.Fprintf(&h, "%s %s %d %d %s %d %d ", r.ID, r.Stream, r.Revision, r.Position, r.Type, len(r.Data), r.Created.UnixNano())
	_, _ = h.Write(r.Data)
	_, _ = h.Write(r.Meta)
	return h.Sum64()
}

func newHistory(cfg Config, out *doctor.Report) *history {
	h := &history{
		cfg: cfg, top: out, out: out, streams: map[es.StreamID]*stream{}, ids: map[es.UUID]uint64{}, commands: map[es.UUID]*command{},
		last: make([]uint64, cfg.Partitions), places: map[uint64]place{}, own: map[string]bool{}, machines: map[string]machine.Machine{},
		instances: map[es.StreamID]*instance{}, byKey: map[string][]*instance{}, due: map[es.StreamID]start{},
		dueOf: map[string][]es.StreamID{}, deployed: map[string]uint64{}, sealed: map[sealedUnder]*sealedUse{},
	}
	for d := range cfg.Catalog.Definitions() {
		category, _, _ := strings.Cut(d.Type, ".")
		h.own[category] = true
	}
	for _, m := range cfg.Sagas {
		h.own[m.Name] = true
		if m.Version >= h.machines[m.Name].Version {
			h.machines[m.Name] = m
		}
	}
	return h
}

// read folds what the log has beyond what was read.
func (h *history) read(ctx context.Context) error {
	for rec, err := range h.cfg.Log.ReadAll(ctx, h.end) {
		if err != nil {
			return fmt.Errorf("reading the log after %d: %w", h.end, err)
		}
		h.add(rec)
	}
	return nil
}

func at(invariant string, r es.Record, format string, args ...any) doctor.Finding {
	return doctor.At(invariant, es.Recorded{Stream: r.Stream, Revision: r.Revision, Position: r.Position}, format, args...)
}

func (h *history) add(rec es.Record) {
	h.events++
	if rec.Position <= h.end {
		h.out.Find(at("I2", rec, "the position does not follow the one before it").Values(fmt.Sprintf("more than %d", h.end), rec.Position))
	} else {
		h.end = rec.Position
	}
	if rec.Created.After(h.newest) {
		h.newest = rec.Created
	}
	s := h.streams[rec.Stream]
	if s == nil {
		s = &stream{}
		h.streams[rec.Stream] = s
	}
	if rec.Revision != s.next {
		h.out.Find(at("I2", rec, "the revision does not follow the one before it").Values(s.next, rec.Revision))
	}
	s.next = rec.Revision + 1
	s.positions = append(s.positions, rec.Position)
	if before, twice := h.ids[rec.ID]; twice {
		h.out.Find(at("I1", rec, "event %s is recorded a second time", rec.ID).Values(fmt.Sprintf("once, at position %d", before), "again"))
	}
	h.ids[rec.ID] = rec.Position
	if rec.Relayed() {
		p := topic.PartitionOf(rec.Stream.Partition(), h.cfg.Partitions)
		h.places[rec.Position] = place{p, h.last[p], sumOf(rec)}
		h.last[p] = max(h.last[p], rec.Position)
	}

	if !h.own[rec.Stream.Category] {
		h.others++
		return
	}
	e, err := h.cfg.Catalog.Open(rec)
	if err != nil {
		h.out.Find(at("I1", rec, "%s cannot be read: %v", rec.Type, err))
		return
	}
	h.sealedIn(e)
	h.command(rec, e)
	if err := h.fold(rec, e); err != nil {
		h.out.Find(at("I1", rec, "%s cannot be folded: %v", rec.Type, err))
	}
}

// aside are events that no command wrote: those of sagas, deployments and operators.
func (h *history) aside(e es.Recorded) bool {
	_, is := h.machines[e.Stream.Category]
	return is || e.Stream.Category == deployments || e.Stream.Category == operation.Category
}

const deployments = "deployment"

// command holds an event to the command it names.
func (h *history) command(rec es.Record, e es.Recorded) {
	if ref := e.Meta.Effect; !ref.ID.IsZero() {
		h.effects = append(h.effects, effect{ref.ID, ref.Instance, rec.Stream, rec.Revision})
	}
	ref := e.Meta.Command
	if h.aside(e) && ref.ID.IsZero() {
		return
	}
	if ref.ID.IsZero() || ref.Name == "" {
		h.out.Find(at("I1", rec, "%s belongs to no command", rec.Type))
		return
	}
	c := h.commands[ref.ID]
	switch {
	case c == nil:
		c = &command{stream: rec.Stream, next: rec.Revision, ref: ref}
		h.commands[ref.ID] = c
	case c.stream != rec.Stream || c.next != rec.Revision:
		h.out.Find(at("I7", rec, "command %s (%s) took effect again", ref.ID, ref.Name).
			Values(fmt.Sprintf("its events in %s up to revision %d", c.stream, c.next-1), rec.Type))
		return
	case c.ref.Name != ref.Name || string(c.ref.Digest) != string(ref.Digest):
		h.out.Find(at("I7", rec, "command %s is two requests", ref.ID).Values(c.ref.Name, ref.Name))
	}
	if !rec.IsOf(ref, c.n) {
		invariant, problem := "I1", "its id is not the one that its command and content give it"
		if c.n > 0 && rec.IsOf(ref, 0) {
			invariant, problem = "I7", fmt.Sprintf("command %s (%s) took effect again", ref.ID, ref.Name)
		}
		h.out.Find(at(invariant, rec, "%s", problem))
	}
	c.n, c.next = c.n+1, rec.Revision+1
}

// fold gives an event to whatever it changes.
func (h *history) fold(rec es.Record, e es.Recorded) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if began, ok := e.Event.(deployment.Began); ok && e.Stream.Category == deployments {
		h.deployed[e.Stream.Key] = began.Position
	}
	for _, c := range h.cfg.Checks {
		if c.Fold != nil {
			c.Fold(e, h.out)
		}
	}
	if _, is := h.machines[e.Stream.Category]; is {
		return h.refold(rec, e)
	}
	for name, m := range h.machines {
		if m.StartsOn != rec.Type {
			continue
		}
		if n, starts := m.Starts(e.Event); starts {
			id := es.StreamID{Category: name, Key: e.Stream.Key, N: n}
			h.due[id] = start{rec}
			h.dueOf[id.Key] = append(h.dueOf[id.Key], id)
		}
	}
	return nil
}

func (h *history) checkAcknowledged() {
	for _, a := range h.cfg.Acknowledged {
		s := h.streams[es.AnyStreamID(a.Stream)]
		revision := a.Revision
		f := doctor.Finding{Invariant: "I1", Stream: a.Stream, Revision: &revision, Position: a.Position}
		switch {
		case s == nil || uint64(len(s.positions)) <= a.Revision:
			f.Problem = "what was acknowledged is not there"
			h.out.Find(f)
		case s.positions[a.Revision] > a.Position:
			f.Problem = "what was acknowledged is recorded elsewhere"
			h.out.Find(f.Values(fmt.Sprintf("at most %d", a.Position), s.positions[a.Revision]))
		}
	}
	h.out.Checked["acknowledged answers"] = len(h.cfg.Acknowledged)
}

// checkEffects: what says that it answers a saga was asked for by it.
func (h *history) checkEffects() {
	if len(h.machines) == 0 {
		h.out.Skipf("sagas: none are known")
		return
	}
	for _, e := range h.effects {
		revision := e.revision
		f := doctor.Finding{Invariant: "I1", Stream: e.stream.String(), Revision: &revision}
		id := es.AnyStreamID(e.instance)
		if _, known := h.machines[id.Category]; !known {
			f.Problem = fmt.Sprintf("answers %s, which is no saga", e.instance)
			h.out.Find(f)
			continue
		}
		if i := h.instances[id]; i == nil || !i.run.Knows(e.id) {
			f.Problem = fmt.Sprintf("answers effect %s, which %s never asked for", e.id, e.instance)
			h.out.Find(f)
		}
	}
	h.out.Checked["answers to sagas"] = len(h.effects)
}
