// Package machine is what the engines run of a process: a checked saga.Definition with its state type erased, what its instances
// take, decide and owe, and the record of it. Those who write processes need nothing of it; they test with package sagatest.
package machine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

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
func Compile[S interface{ Machine() (Machine, error) }](sagas ...S) (out []Machine, err error) {
	type version struct {
		name string
		v    int
	}
	twice := map[version]bool{}
	for _, s := range sagas {
		m, e := s.Machine()
		if e == nil && twice[version{m.Name, m.Version}] {
			e = fmt.Errorf("saga %s version %d is defined twice", m.Name, m.Version)
		}
		twice[version{m.Name, m.Version}] = true
		out, err = append(out, m), errors.Join(err, e)
	}
	return out, err
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

// Fits checks sagas against the catalogue of the program: no saga is called as the category of an aggregate, and each event that one
// hears exists.
func Fits(c *es.Catalog, sagas ...Machine) (err error) {
	aggregates := map[string]bool{}
	for d := range c.Definitions() {
		category, _, _ := strings.Cut(d.Type, ".")
		aggregates[category] = true
	}
	for _, m := range sagas {
		if aggregates[m.Name] {
			err = errors.Join(err, fmt.Errorf("saga %s version %d has the name of an aggregate: both would write the streams %s-…", m.Name, m.Version, m.Name))
		}
		for _, typ := range slices.Concat([]string{m.StartsOn}, m.Named, m.Answers) {
			if c.Version(typ) == 0 {
				err = errors.Join(err, fmt.Errorf("saga %s version %d hears %s, which is not in the catalogue", m.Name, m.Version, typ))
			}
		}
	}
	return err
}
