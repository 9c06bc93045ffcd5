package saga_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// TestDefinitionChanged: an instance whose definition gives another command than the one recorded keeps what it hears and sends
// nothing. With the definition that was recorded it goes on from there.
func TestDefinitionChanged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*saga.Definition[trip]){
		"another command": func(d *saga.Definition[trip]) {
			d.Steps[0].Do = func(_ trip, t saga.Turn) saga.Commands { return saga.Send(ask{"book", t.Item, t.At.Add(1)}) }
		},
		"no command":   func(d *saga.Definition[trip]) { d.Steps[0].Do = func(trip, saga.Turn) saga.Commands { return nil } },
		"another item": func(d *saga.Definition[trip]) { d.Steps[0].Items = nil },
		"no such step": func(d *saga.Definition[trip]) { d.Steps[0].Name = "reserve" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := play(t, 1)
			p.hear(tripPlanned{Rooms: []string{"a"}}, es.UUID{})
			booked := p.heard(es.StreamID{Category: "room", Key: "a"}, roomBooked{}, p.run.Effects()[0].ID)
			d := trips()
			change(&d)
			other, err := machine.Compile(d)
			if err != nil {
				t.Fatal(err)
			}
			fold := func(m machine.Machine) machine.Running {
				t.Helper()
				r := m.New(p.run.ID())
				for _, e := range p.stored {
					if err := machine.Refold(r, p.c, e); err != nil {
						t.Fatal(err)
					}
				}
				return r
			}
			parked := fold(other[0])
			if s := parked.Status(); !s.Changed || !strings.HasPrefix(s.Stuck, machine.DefinitionChanged+": ") || len(parked.Effects())+len(parked.Timers()) > 0 {
				t.Fatalf("status %+v, it owes %v", s, parked.Effects())
			}
			taken, ok := parked.Step(booked, p.now)
			if !ok || len(taken.Decisions) > 0 || taken.Event == nil || !parked.Holds(booked) {
				t.Fatalf("it takes %+v, %t", taken, ok)
			}
			if _, ok := parked.Step(machine.Resumed{}, p.now); ok {
				t.Error("it goes on by itself")
			}
			p.stored = append(p.stored, machine.Stepped{Taken: []machine.Taken{taken}})
			p.run = fold(p.m)
			if _, ok := p.run.Step(booked, p.now); ok {
				t.Error("an input that it holds is taken again")
			}
			p.wants(p.step(machine.Resumed{}), "done", "began")
			p.wants(p.owed(), "room.pay  do1")
			p.wants(p.step(machine.Resumed{}))
		})
	}
}

// TestSplit: one event holds what was taken in one append, unless it would be too large; only the last says when it is due.
func TestSplit(t *testing.T) {
	t.Parallel()
	large := json.RawMessage(`{"x":"` + strings.Repeat("x", 300<<10) + `"}`)
	var taken []machine.Taken
	for i := range 7 {
		taken = append(taken, machine.Taken{Event: &machine.Noted{Type: "room.booked", Schema: 1, Data: large, Revision: uint64(i)}})
	}
	now, due := time.Unix(1, 0).UTC(), time.Unix(9, 0).UTC()
	events, err := machine.Split(taken, machine.MaxAppend, now, due)
	if err != nil || len(events) != 3 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	next := uint64(0)
	for i, e := range events {
		b, err := json.Marshal(e)
		if err != nil || len(b) > machine.MaxAppend {
			t.Errorf("event %d has %d bytes, %v", i, len(b), err)
		}
		if last := i == len(events)-1; last != e.Due.Equal(due) || !last && !e.Due.Equal(now) {
			t.Errorf("event %d is due %s", i, e.Due)
		}
		for _, in := range e.Taken {
			if in.Event.Revision != next {
				t.Errorf("input %d is where %d should be", in.Event.Revision, next)
			}
			next++
		}
	}
	if one, err := machine.Split(taken[:3], machine.MaxAppend, now, due); err != nil || len(one) != 1 {
		t.Errorf("three small ones make %d events, %v", len(one), err)
	}
}
