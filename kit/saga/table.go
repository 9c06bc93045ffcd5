package saga

import (
	"maps"
	"slices"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// Machine checks the definition and gives what the engines run of it.
func (d Definition[S]) Machine() (machine.Machine, error) {
	if err := d.check(); err != nil {
		return machine.Machine{}, err
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
	return machine.Machine{
		Name: d.Name, Version: d.Version, Starts: starts,
		StartsOn: d.Start.eventType, Numbers: t.numbers,
		Named: slices.Sorted(maps.Keys(t.named)), Answers: slices.Sorted(maps.Keys(t.answers)),
		New: func(id es.StreamID) machine.Running { return newInstance(&d, &t, id) },
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
