package saga

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/internal/es"
)

// instance is a fold of its own stream, and nothing else.
type instance[S any] struct {
	def   *Definition[S] // shared by all instances, as table is
	table *table[S]
	id    es.StreamID
	name  string // id, written

	phase       Phase
	version     int
	correlation string
	state       S
	heard       map[source]bool
	steps       []progress
	issued      map[es.UUID]*issue
	order       []*issue // as issued
	failure     es.Code
	stuck       *Stuck
	cause       string    // the newest input
	stated      time.Time // its stated business time
}

// source is where an event stands. Instances remember them one by one, not as a high-water mark per
// stream: a reply fed straight from a receipt may overtake an older one that comes through Kafka.
type source struct {
	stream   string
	revision uint64
}

// progress is how far a step is.
type progress struct {
	begun, done, undoing, undone bool
	nothing                      bool // Do asked for no command: there is nothing to undo either
	does, undoes                 int  // attempts
	undoneAt                     int  // of undoes, when it last succeeded
	waits                        string
	deadline                     time.Time
	due                          bool    // the deadline came while it was awaited
	undoRefused                  es.Code // why the newest attempt to undo it failed
}

// issue is an effect and what became of it.
type issue struct {
	effect   Effect
	at       int // step
	answered bool
	from     uint64 // an answer heard later stands here or after
	refused  es.Code
	revoked  bool // another attempt, or the other direction, took its place: owed no longer
}

func newInstance[S any](def *Definition[S], t *table[S], id es.StreamID) *instance[S] {
	return &instance[S]{
		def: def, table: t, id: id, name: id.String(), heard: map[source]bool{},
		steps: make([]progress, len(def.Steps)), issued: map[es.UUID]*issue{},
	}
}

func (i *instance[S]) ID() es.StreamID { return i.id }

func (i *instance[S]) Step(in Input, now time.Time) (out []es.Event) {
	now = es.Micro(now)
	put := func(e, noted es.Event) { i.Fold(e, noted); out = append(out, e) }
	switch in := in.(type) {
	case Heard:
		if !i.takes(in) {
			return nil
		}
		if i.phase == "" {
			put(Started{i.def.Name, i.def.Version, in.Meta.Correlation}, nil)
		}
		n := Noted{
			Type: in.Event.EventType(), Schema: in.Meta.Schema, Data: in.Data, Stream: in.Stream.String(),
			Revision: in.Revision, ID: in.ID, Stated: in.stated(),
		}
		if in.Meta.Effect.Instance == i.name {
			n.Effect = in.Meta.Effect.ID
		}
		put(n, in.Event)
	case Answer:
		if f := i.issued[in.Effect]; f == nil || f.answered {
			return nil
		}
		put(Answered(in), nil)
	case Due:
		n := slices.IndexFunc(i.Timers(), func(t Timer) bool { return t.ID == in.Timer })
		if n < 0 {
			return nil
		}
		put(TimerDue{in.Timer, i.Timers()[n].Step}, nil)
	case Broken:
		f := i.issued[in.Effect]
		if f == nil || f.answered || f.revoked || i.stuck != nil {
			return nil
		}
		put(Stuck{Step: f.effect.Step, Effect: in.Effect, Message: in.Message}, nil)
	}
	for e := i.next(now); e != nil; e = i.next(now) {
		put(e, nil)
	}
	return out
}

// takes tells whether an event is an input of this instance that it does not hold yet.
func (i *instance[S]) takes(in Heard) bool {
	typ := in.Event.EventType()
	if i.heard[source{in.Stream.String(), in.Revision}] {
		return false
	}
	if i.phase == "" {
		if typ != i.def.Start.eventType || in.Stream.Key != i.id.Key {
			return false
		}
		n, ok := i.def.Start.starts(in.Event)
		return ok && n == i.id.N
	}
	if len(i.table.named[typ]) > 0 && in.Stream.Key == i.id.Key && (in.Meta.Effect.Instance != i.name || i.issued[in.Meta.Effect.ID] != nil) {
		return true
	}
	return len(i.table.answers[typ]) > 0 && in.Meta.Effect.Instance == i.name && i.issued[in.Meta.Effect.ID] != nil
}

func (i *instance[S]) Fold(e, noted es.Event) {
	switch e := e.(type) {
	case Started:
		i.phase, i.version, i.correlation = Doing, e.Version, e.Correlation
	case Noted:
		i.note(e, noted)
	case Answered:
		if f := i.issued[e.Effect]; f != nil {
			f.answered, f.refused = true, e.Code
			i.unstick(e.Effect)
		}
	case TimerDue:
		p, _ := i.step(e.Step)
		p.due, i.cause, i.stated = true, e.Timer.String(), time.Time{}
	case Began:
		p, n := i.step(e.Step)
		p.begun, p.does, p.deadline, p.due, p.waits, i.stuck = true, e.Attempt, e.Deadline, false, "", nil
		i.clock(e.At)
		if do := i.def.Steps[n].Do; do != nil {
			asked := do(i.state)
			p.nothing = len(asked) == 0
			i.issue(n, es.Do, e.Attempt, e.After, asked)
		}
	case Extended:
		p, _ := i.step(e.Step)
		p.waits, p.deadline = e.For, e.Deadline
	case Done:
		p, n := i.step(e.Step)
		p.done, p.deadline, i.stuck = true, time.Time{}, nil
		i.revoke(n)
	case Failed:
		p, n := i.step(e.Step)
		p.deadline, i.phase, i.failure, i.stuck = time.Time{}, Undo, e.Code, nil
		i.revoke(n)
		if i.def.Failed != nil {
			i.def.Failed(&i.state, e.Code)
		}
	case Undoing:
		p, n := i.step(e.Step)
		p.undoing, p.undone, p.undoes, p.undoRefused, i.phase, i.stuck = true, false, e.Attempt, "", Undo, nil
		i.clock(e.At)
		i.issue(n, es.Undo, e.Attempt, e.After, i.def.Steps[n].Undo(i.state))
	case Undone:
		p, n := i.step(e.Step)
		p.undone, p.undoneAt, i.stuck = true, p.undoes, nil
		i.revoke(n)
	case Stuck:
		i.stuck = &e
	case Ended:
		i.phase, i.stuck = e.How, nil
	default:
		es.Unknown(e)
	}
}

func (i *instance[S]) note(e Noted, noted es.Event) {
	first := len(i.heard) == 0
	i.heard[source{e.Stream, e.Revision}] = true
	i.cause, i.stated = e.ID.String(), e.Stated
	at := At{es.AnyStreamID(e.Stream), e.Revision}
	if first {
		i.def.Start.fold(&i.state, noted, at)
	}
	f := i.issued[e.Effect]
	hear := func(r Reply[S]) {
		switch code := r.fold(&i.state, noted, at); {
		case code == "" || f == nil:
		case r.undo:
			i.steps[f.at].undoRefused = code
		default:
			f.refused = code
		}
	}
	for _, r := range i.table.named[e.Type] {
		hear(r)
	}
	if f == nil {
		return
	}
	for _, r := range i.table.answers[e.Type] {
		hear(r)
	}
	f.answered = true
	if at.Stream == f.effect.Command.Stream() {
		f.from = max(f.from, e.Revision+1)
	}
	i.unstick(e.Effect)
}

func either(a, b es.Code) es.Code {
	if a != "" {
		return a
	}
	return b
}

func (i *instance[S]) unstick(effect es.UUID) {
	if i.stuck != nil && i.stuck.Effect == effect {
		i.stuck = nil
	}
}

func (i *instance[S]) clock(at time.Time) {
	if i.def.Clock != nil {
		i.def.Clock(&i.state, at)
	}
}

func (i *instance[S]) step(name string) (*progress, int) {
	n := slices.IndexFunc(i.def.Steps, func(s Step[S]) bool { return s.Name == name })
	if n < 0 {
		panic(fmt.Sprintf("saga %s version %d has no step %q", i.def.Name, i.def.Version, name))
	}
	return &i.steps[n], n
}

// issue takes the place of whatever the step owed before.
func (i *instance[S]) issue(n int, d es.Direction, attempt int, after time.Time, asked Commands) {
	i.revoke(n)
	step := i.def.Steps[n].Name
	for _, a := range asked {
		id := es.EffectID(i.name, step, a.Item, attempt, d)
		if i.issued[id] != nil {
			panic(fmt.Sprintf("%s: step %q asks twice for item %q", i.name, step, a.Item))
		}
		f := &issue{at: n, effect: Effect{
			ID: id, Step: step, Item: a.Item, Attempt: attempt, Direction: d, Command: a.Command,
			NotBefore: after, Causation: i.cause, Correlation: i.correlation, Stated: i.stated,
		}}
		i.issued[id] = f
		i.order = append(i.order, f)
	}
}

func (i *instance[S]) revoke(n int) {
	for _, f := range i.order {
		if f.at == n {
			f.revoked = true
		}
	}
}

func (i *instance[S]) Knows(effect es.UUID) bool { return i.issued[effect] != nil }

func (i *instance[S]) Effects() (out []Effect) {
	for _, f := range i.order {
		if !f.answered && !f.revoked {
			out = append(out, f.effect)
		}
	}
	return out
}

func (i *instance[S]) Timers() (out []Timer) {
	for n, p := range i.steps {
		if p.deadline.IsZero() || p.due {
			continue
		}
		s := i.def.Steps[n]
		t := Timer{Step: s.Name, Due: p.deadline, Unsent: s.Deadline}
		t.ID = es.DerivedID(es.EffectID(i.name, s.Name, "", p.does, es.Do), "timer", p.waits)
		for _, f := range i.order {
			if f.at == n && !f.revoked {
				t.Streams = append(t.Streams, Target{f.effect.ID, f.effect.Command.Stream(), f.from})
			}
		}
		out = append(out, t)
	}
	return out
}

func (i *instance[S]) Status() Status {
	s := Status{Saga: i.id.Category, Version: i.version, Phase: i.phase, Failure: i.failure}
	if i.stuck != nil {
		s.Stuck = strings.TrimSpace(fmt.Sprintf("%s: %s %s", i.stuck.Step, i.stuck.Message, i.stuck.Code))
	}
	for n, p := range i.steps {
		if i.phase == Doing && p.begun && !p.done || i.phase == Undo && p.undoing && !p.undone {
			s.Step = i.def.Steps[n].Name
		}
	}
	return s
}
