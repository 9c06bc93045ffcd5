package saga

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/internal/es"
)

// Saga is any Definition, for lists of them: []saga.Saga{Placement, Cancellation}.
type Saga interface{ compile() (Machine, error) }

// Machine is a checked Definition with its state type erased: what the orchestrator holds.
type Machine struct {
	Name     string
	Version  int
	StartsOn string
	Hears    []string // event types; others are not even decoded
	New      func(key string) Running
}

// Compile checks definitions; a mistake in one stops the program at start.
func Compile(sagas ...Saga) (out []Machine, err error) {
	for _, s := range sagas {
		m, e := s.compile()
		out, err = append(out, m), errors.Join(err, e)
	}
	return out, err
}

// Running is one instance, erased. It is a value in one goroutine's hands.
type Running interface {
	// Step says what an input makes of the instance, folds it, and returns it to be stored. It is pure:
	// now comes in. Nothing to store means nothing happened (a duplicate, a late answer).
	Step(in Input, now time.Time) []es.Event
	// Fold replays a stored event; noted events come decoded.
	Fold(e es.Event, noted es.Event)
	// Effects are the commands owed now; after a restart all of a step's, whether sent before or not.
	Effects() []Effect
	// Timer is when a Tick is due; zero = none.
	Timer() time.Time
	Phase() Phase
}

func (d Definition[S]) compile() (Machine, error) {
	all := append([]Reply[S]{d.Start}, d.On...)
	for _, s := range d.Steps {
		all = append(all, s.On...)
	}
	replies := map[string][]func(*S, es.Event){}
	for _, r := range all {
		replies[r.eventType] = append(replies[r.eventType], r.fold)
	}
	return Machine{d.Name, d.Version, d.Start.eventType, slices.Sorted(maps.Keys(replies)), func(key string) Running {
		return &instance[S]{def: &d, replies: replies, key: key, heard: map[source]bool{}, steps: make([]progress, len(d.Steps))}
	}}, d.check()
}

// source is where an event stands. Instances remember them one by one, not as a high-water mark per
// stream: a reply fed straight from a receipt may overtake an older one that comes through Kafka.
type source struct {
	stream   string
	revision uint64
}

type instance[S any] struct {
	def     *Definition[S] // shared by all instances, as replies are
	key     string
	phase   Phase
	state   S
	steps   []progress
	heard   map[source]bool
	replies map[string][]func(*S, es.Event)
}

// progress is how far a step is. It is folded from began/done/undoing/undone; owed also from answers.
type progress struct {
	begun, done, undoing, undone bool
	attempt                      int
	deadline                     time.Time
	owed                         []Effect
	rejected                     es.Code
}

func (i *instance[S]) Phase() Phase { return i.phase }

func (i *instance[S]) Step(in Input, now time.Time) (out []es.Event) {
	put := func(e, noted es.Event) { i.Fold(e, noted); out = append(out, e) }
	switch in := in.(type) {
	case Heard:
		src := in.Stream.String()
		if i.replies[in.Event.EventType()] == nil || i.heard[source{src, in.Revision}] {
			return nil
		}
		if i.phase == "" {
			put(Started{i.def.Name, i.def.Version}, nil)
		}
		put(Noted{in.Event.EventType(), in.Meta.Schema, in.Data, src, in.Revision}, in.Event)
	case Answered:
		if !i.answer(in) {
			return nil
		}
	}
	for e := i.next(now); e != nil; e = i.next(now) {
		put(e, nil)
	}
	return out
}

// next is the one event the state calls for, or nil. It is the whole of the engine's logic.
func (i *instance[S]) next(now time.Time) es.Event {
	switch i.phase {
	case Doing:
		n := slices.IndexFunc(i.steps, func(p progress) bool { return !p.done })
		if n < 0 {
			return Ended{Completed}
		}
		s, p := i.def.Steps[n], i.steps[n]
		if i.def.Abort != nil && !i.pivotBegun() {
			if c := i.def.Abort(i.state); c != "" {
				return Failed{s.Name, c}
			}
		}
		switch {
		case !p.begun:
			b := Began{Step: s.Name, Attempt: p.attempt + 1}
			if s.Deadline > 0 {
				b.Deadline = now.Add(s.Deadline)
			}
			return b
		case s.Do == nil, s.Done != nil && s.Done(i.state), s.Done == nil && len(p.owed) == 0 && p.rejected == "":
			return Done{s.Name}
		case s.Refused != nil && s.Refused(i.state) != "":
			return Failed{s.Name, s.Refused(i.state)}
		case p.rejected != "":
			return Failed{s.Name, p.rejected}
		case !p.deadline.IsZero() && !now.Before(p.deadline):
			return Failed{s.Name, "timed_out"}
		}
	case Undo:
		for n := len(i.steps) - 1; n >= 0; n-- { // in reverse, each finished before the one before it
			s, p := i.def.Steps[n], i.steps[n]
			switch {
			case !p.begun || p.undone || s.Undo == nil:
			case !p.undoing:
				return Undoing{s.Name, p.attempt + 1}
			case s.Undone != nil && s.Undone(i.state), s.Undone == nil && len(p.owed) == 0:
				return Undone{s.Name}
			default:
				return nil
			}
		}
		return Ended{Compensated}
	case Compensated: // a success that came late: undo again, under a new effect id
		for n, p := range i.steps {
			if s := i.def.Steps[n]; p.begun && s.Undo != nil && s.Undone != nil && !s.Undone(i.state) {
				return Undoing{s.Name, p.attempt + 1}
			}
		}
	}
	return nil
}

// pivotBegun: from then on only a rejection of the pivot itself leads back.
func (i *instance[S]) pivotBegun() bool {
	for n, p := range i.steps {
		if p.begun && i.def.Steps[n].Undo == nil {
			return true
		}
	}
	return false
}

func (i *instance[S]) Fold(e, noted es.Event) {
	switch e := e.(type) {
	case Started:
		i.phase = Doing
	case Noted:
		i.heard[source{e.Stream, e.Revision}] = true
		for _, fold := range i.replies[e.Type] {
			fold(&i.state, noted)
		}
	case Began:
		p, s := i.step(e.Step)
		p.begun, p.attempt, p.deadline = true, e.Attempt, e.Deadline
		if s.Do != nil {
			p.owed = i.effects(s.Name, "do", e.Attempt, s.Do(i.state))
		}
	case Done:
		p, _ := i.step(e.Step)
		p.done, p.deadline, p.owed = true, time.Time{}, nil
	case Failed:
		p, _ := i.step(e.Step)
		p.deadline, p.owed, i.phase = time.Time{}, nil, Undo
		if i.def.Failed != nil {
			i.def.Failed(&i.state, e.Code)
		}
	case Undoing:
		p, s := i.step(e.Step)
		p.undoing, p.undone, p.attempt, i.phase = true, false, e.Attempt, Undo
		p.owed = i.effects(s.Name, "undo", e.Attempt, s.Undo(i.state))
	case Undone:
		p, _ := i.step(e.Step)
		p.undone, p.owed = true, nil
	case Ended:
		i.phase = e.How
	default:
		es.Unknown(e)
	}
}

func (i *instance[S]) step(name string) (*progress, Step[S]) {
	n := slices.IndexFunc(i.def.Steps, func(s Step[S]) bool { return s.Name == name })
	if n < 0 {
		panic(fmt.Sprintf("saga %s version %d has no step %q", i.def.Name, i.def.Version, name))
	}
	return &i.steps[n], i.def.Steps[n]
}

func (i *instance[S]) effects(step, direction string, attempt int, cs Commands) (out []Effect) {
	for n, c := range cs {
		out = append(out, Effect{es.EffectID(i.def.Name+"-"+i.key, step, fmt.Sprint(n), attempt, es.Direction(direction)), step, c})
	}
	return out
}

// answer strikes an effect off; unknown ids are answers that came late or twice.
func (i *instance[S]) answer(a Answered) bool {
	for n := range i.steps {
		p := &i.steps[n]
		if at := slices.IndexFunc(p.owed, func(e Effect) bool { return e.ID == a.Effect }); at >= 0 {
			p.owed = slices.Delete(slices.Clone(p.owed), at, at+1)
			if a.Code != "" {
				p.rejected = a.Code
			}
			return true
		}
	}
	return false
}

func (i *instance[S]) Effects() (out []Effect) {
	for _, p := range i.steps {
		out = append(out, p.owed...)
	}
	return out
}

func (i *instance[S]) Timer() (due time.Time) {
	for _, p := range i.steps {
		if !p.deadline.IsZero() && (due.IsZero() || p.deadline.Before(due)) {
			due = p.deadline
		}
	}
	return due
}
