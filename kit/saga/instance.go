package saga

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// instance is a fold of its own stream, and nothing else.
type instance[S any] struct {
	def   *Definition[S] // shared by all instances, as table is
	table *table[S]
	id    es.StreamID
	name  string // id, written

	phase       machine.Phase
	version     int
	correlation string
	state       S
	heard       map[source]bool
	steps       []progress
	issued      map[es.UUID]*issue
	order       []*issue // as issued
	failure     es.Code
	stuck       *machine.Decision
	changed     string    // how the definition differs from what was recorded; "": it does not
	cause       string    // the newest input
	stated      time.Time // its stated business time
	until       time.Time // a completed one may be reopened by what is recorded until then; zero: it may not
	asked       time.Time // when the newest event was recorded that reopens; zero: none
	askedOver   bool      // it was heard after the end
	opening     int       // how often it was reopened
}

// source is the place of an event in its stream. Instances remember them one by one, not as a high-water mark per
// stream: a reply fed straight from a receipt may overtake an older one that comes through Kafka.
type source struct {
	stream   string
	revision uint64
}

func newInstance[S any](def *Definition[S], t *table[S], id es.StreamID) *instance[S] {
	return &instance[S]{
		def: def, table: t, id: id, name: id.String(), heard: map[source]bool{},
		steps: make([]progress, len(def.Steps)), issued: map[es.UUID]*issue{},
	}
}

func (i *instance[S]) ID() es.StreamID { return i.id }

func (i *instance[S]) Step(in machine.Input, now time.Time) (t machine.Taken, ok bool) {
	now = es.Micro(now)
	var noted es.Event
	switch in := in.(type) {
	case machine.Heard:
		if !i.takes(in) {
			return t, false
		}
		if i.phase == "" {
			t.Started = &machine.Started{Saga: i.def.Name, Version: i.def.Version, Correlation: in.Meta.Correlation}
		}
		noted = in.Event
		t.Event = &machine.Noted{
			Type: in.Event.EventType(), Schema: in.Meta.Schema, Data: in.Data, Stream: in.Stream.String(),
			Revision: in.Revision, ID: in.ID, Stated: in.Stated(),
		}
		if in.Meta.Effect.Instance == i.name {
			t.Event.Effect = in.Meta.Effect.ID
		}
		if len(i.table.reopens[t.Event.Type]) > 0 {
			t.Event.Recorded = es.Micro(in.Created)
		}
	case machine.Answer:
		if f := i.issued[in.Effect]; f == nil || f.answered || i.changed != "" {
			return t, false
		}
		a := machine.Answered(in)
		t.Answer = &a
	case machine.Due:
		n := slices.IndexFunc(i.Timers(), func(t machine.Timer) bool { return t.ID == in.Timer })
		if n < 0 {
			return t, false
		}
		due := i.Timers()[n]
		t.Timer = &machine.TimerDue{Timer: in.Timer, Step: due.Step, Reminder: due.Reminder}
	case machine.Broken:
		f := i.issued[in.Effect]
		if f == nil || f.answered || f.revoked || i.stuck != nil || i.changed != "" {
			return t, false
		}
		t.Decisions = append(t.Decisions, i.fold(machine.Decision{Kind: machine.Stuck, Step: f.effect.Step, Effect: in.Effect, Message: in.Message}))
	case machine.Resumed:
		if i.phase == "" {
			return t, false
		}
	}
	i.take(t, noted)
	if i.changed != "" {
		return t, t.Event != nil
	}
	for d, more := i.next(now); more; d, more = i.next(now) {
		t.Decisions = append(t.Decisions, i.fold(d))
	}
	return t, t.Event != nil || t.Answer != nil || t.Timer != nil || len(t.Decisions) > 0
}

func (i *instance[S]) Holds(in machine.Heard) bool {
	return i.heard[source{in.Stream.String(), in.Revision}]
}

// takes tells whether an event is an input of this instance that it does not hold yet.
func (i *instance[S]) takes(in machine.Heard) bool {
	typ := in.Event.EventType()
	if i.Holds(in) {
		return false
	}
	if i.phase == "" {
		if typ != i.def.Start.eventType || in.Stream.Key != i.id.Key {
			return false
		}
		n, ok := i.def.Start.starts(in.Event)
		return ok && n == i.id.N
	}
	issued := in.Meta.Effect.Instance == i.name && (i.issued[in.Meta.Effect.ID] != nil || i.changed != "") // then it cannot tell
	named := in.Stream.Key == i.id.Key && reaches(i.table.named[typ], in.Event, i.id.N)
	if named && (in.Meta.Effect.Instance != i.name || issued) {
		return true
	}
	return len(i.table.answers[typ]) > 0 && issued
}

func (i *instance[S]) Knows(effect es.UUID) bool { return i.issued[effect] != nil }

func (i *instance[S]) Effects() (out []machine.Effect) {
	if i.changed != "" {
		return nil
	}
	for _, f := range i.order {
		if !f.answered && !f.revoked {
			out = append(out, f.effect)
		}
	}
	return out
}

func (i *instance[S]) Timers() (out []machine.Timer) {
	if i.changed != "" {
		return nil
	}
	for n := range i.steps {
		s, p := &i.def.Steps[n], &i.steps[n]
		if len(p.remind) == 0 && (p.deadline.IsZero() || p.due) {
			continue
		}
		t := machine.Timer{Step: s.Name, Since: p.since}
		if s.awaits() {
			t.Hears = i.sentTo()
		}
		for _, f := range i.order {
			if f.at == n && !f.revoked {
				t.Streams = append(t.Streams, machine.Target{Effect: f.effect.ID, Stream: f.effect.Command.Stream(), From: f.from})
			}
		}
		attempt := es.EffectID(i.name, s.Name, "", p.does, es.Do)
		if len(p.remind) > 0 {
			r := t
			r.Reminder, r.Due = p.reminded+1, p.remind[0]
			r.ID, r.Unsent = es.DerivedID(attempt, "reminder", p.waits, r.Reminder), r.Due.Sub(r.Since)
			out = append(out, r)
		}
		if !p.deadline.IsZero() && !p.due {
			t.ID, t.Due, t.Unsent = es.DerivedID(attempt, "timer", p.waits), p.deadline, p.deadline.Sub(p.since)
			out = append(out, t)
		}
	}
	return out
}

// sentTo are the streams that commands of the instance went to: what ends a wait may come from there.
func (i *instance[S]) sentTo() (out []es.StreamID) {
	for _, f := range i.order {
		if s := f.effect.Command.Stream(); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (i *instance[S]) Due(now time.Time) (at time.Time) {
	sooner := func(t time.Time) {
		if t.Before(now) {
			t = now
		}
		if at.IsZero() || t.Before(at) {
			at = es.Micro(t)
		}
	}
	for _, f := range i.Effects() {
		sooner(f.NotBefore)
	}
	for _, t := range i.Timers() {
		sooner(t.Due)
	}
	return at
}

func (i *instance[S]) Status() machine.Status {
	s := machine.Status{Saga: i.id.Category, Version: i.version, Phase: i.phase, Failure: i.failure}
	if i.phase == machine.Completed {
		s.Until = i.until
	}
	for n, p := range i.steps {
		if i.phase == machine.Doing && p.begun && !p.done || i.phase == machine.Undo && p.undoing && !p.undone {
			s.Step, s.Reminded, s.Awaits = i.def.Steps[n].Name, p.reminded, i.phase == machine.Doing && i.def.Steps[n].awaits()
			if p.late != "" {
				s.Stuck = fmt.Sprintf("%s: late %s", s.Step, p.late)
			}
		}
	}
	switch {
	case i.changed != "":
		s.Stuck, s.Changed = i.changed, true
	case i.stuck != nil:
		at := strings.TrimSpace(i.stuck.Step + " " + i.stuck.Item)
		s.Stuck = strings.TrimSpace(strings.TrimPrefix(fmt.Sprintf("%s: %s %s", at, i.stuck.Message, i.stuck.Code), ": "))
	}
	return s
}
