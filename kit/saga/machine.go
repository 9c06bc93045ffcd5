package saga

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Saga is any Definition, for lists of them: []saga.Saga{Placement, Cancellation}.
type Saga interface{ compile() (Machine, error) }

// Machine is a checked Definition with its state type erased: what the orchestrator holds.
type Machine struct {
	Name    string
	Version int
	// StartsOn is the event type that may start an instance, Named those that concern a running one with or without
	// an effect, Answers those that must answer one. Others are not even decoded.
	StartsOn       string
	Named, Answers []string
	// Starts says whether an event starts an instance, and its number (0: none).
	Starts func(es.Event) (n int, ok bool)
	// Numbers are those of the instances of an event's key that it concerns by name.
	Numbers func(es.Event) []int
	// New is an instance of which nothing has been folded.
	New func(id es.StreamID) Running
}

// Running is one instance, erased. It is a value in one goroutine's hands.
type Running interface {
	ID() es.StreamID
	// Step takes an input, decides, and returns both to be stored. It is pure: now comes in.
	// Not ok means that nothing happened: an input that is held already, or is none of the instance's.
	Step(in Input, now time.Time) (t Taken, ok bool)
	// Holds tells whether an event is an input that the instance holds already: a repeat of it is nothing.
	Holds(in Heard) bool
	// Fold replays what was stored; noted events come decoded. Refold is the safe way to call it.
	Fold(t Taken, noted es.Event)
	// Effects are the commands without an answer; after a restart all of them, whether sent before or not.
	Effects() []Effect
	// Knows tells whether an effect is one of the instance's, of any attempt.
	Knows(effect es.UUID) bool
	// Timers are those awaited.
	Timers() []Timer
	// Due is when something is owed next, at the earliest now; zero: never.
	Due(now time.Time) time.Time
	Status() Status
}

// Compile checks definitions; a mistake in one stops the program at start.
func Compile(sagas ...Saga) (out []Machine, err error) {
	type version struct {
		name string
		v    int
	}
	twice := map[version]bool{}
	for _, s := range sagas {
		m, e := s.compile()
		if e == nil && twice[version{m.Name, m.Version}] {
			e = fmt.Errorf("saga %s version %d is defined twice", m.Name, m.Version)
		}
		twice[version{m.Name, m.Version}] = true
		out, err = append(out, m), errors.Join(err, e)
	}
	return out, err
}

func (d Definition[S]) compile() (Machine, error) {
	if err := d.check(); err != nil {
		return Machine{}, err
	}
	t := table[S]{named: map[string][]Reply[S]{}, answers: map[string][]Reply[S]{}, reopens: map[string][]Reply[S]{}}
	add := func(to map[string][]Reply[S], replies []Reply[S]) {
		for _, r := range replies {
			to[r.eventType] = append(to[r.eventType], r)
		}
	}
	add(t.named, d.On)
	add(t.named, d.Reopen.On)
	add(t.reopens, d.Reopen.On)
	for n := range d.Steps {
		named, answers := d.Steps[n].replies()
		add(t.named, named)
		add(t.answers, answers)
	}
	starts := func(e es.Event) (int, bool) {
		if e.EventType() != d.Start.eventType {
			return 0, false
		}
		return d.Start.starts(e)
	}
	return Machine{
		Name: d.Name, Version: d.Version, Starts: starts,
		StartsOn: d.Start.eventType, Numbers: t.numbers,
		Named: slices.Sorted(maps.Keys(t.named)), Answers: slices.Sorted(maps.Keys(t.answers)),
		New: func(id es.StreamID) Running { return newInstance(&d, &t, id) },
	}, nil
}

// table finds the folds of an event type.
type table[S any] struct {
	named   map[string][]Reply[S] // with or without an effect; Start is folded once, by itself
	answers map[string][]Reply[S] // only to an effect of the instance
	reopens map[string][]Reply[S] // of those named
}

func (t *table[S]) numbers(e es.Event) (out []int) {
	for _, r := range t.named[e.EventType()] {
		for _, n := range r.to(e) {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

func reaches[S any](replies []Reply[S], e es.Event, n int) bool {
	return slices.ContainsFunc(replies, func(r Reply[S]) bool { return r.reaches(e, n) })
}

// Refold replays one event of an instance's stream. Its errors say that this program cannot read the instance.
func Refold(r Running, c *es.Catalog, e es.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("fold %s of %s: %v", e.EventType(), r.ID(), p)
		}
	}()
	stepped, ok := e.(Stepped)
	if !ok {
		return fmt.Errorf("fold %s of %s: it is no event of a saga", e.EventType(), r.ID())
	}
	for _, t := range stepped.Taken {
		var noted es.Event
		if n := t.Event; n != nil {
			if noted, err = c.Decode(n.Type, n.Schema, n.Data); err != nil {
				return fmt.Errorf("input %s@%d of %s: %w", n.Stream, n.Revision, r.ID(), err)
			}
		}
		r.Fold(t, noted)
	}
	return nil
}
