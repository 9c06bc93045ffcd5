package orchestrator

import (
	"maps"
	"slices"
	"strings"

	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// route says which sagas may have to do with a type of event.
type route struct {
	starts []*machine.Machine // the newest versions
	named  []*machine.Machine // every version
	hears  map[string]bool    // sagas, if it answers an effect of theirs
}

func (o *Orchestrator) table() map[string]*route {
	t := map[string]*route{}
	at := func(typ string) *route {
		if t[typ] == nil {
			t[typ] = &route{hears: map[string]bool{}}
		}
		return t[typ]
	}
	for _, m := range o.newest {
		r := at(m.StartsOn)
		r.starts = append(r.starts, m)
	}
	for _, m := range o.versions {
		for _, typ := range m.Named {
			r := at(typ)
			r.named = append(r.named, m)
			r.hears[m.Name] = true
		}
		for _, typ := range m.Answers {
			at(typ).hears[m.Name] = true
		}
	}
	return t
}

// names of the sagas that may hear it.
func (r *route) names() []string {
	names := slices.Collect(maps.Keys(r.hears))
	for _, m := range r.starts {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// delivery is an input for one instance.
type delivery struct {
	to     es.StreamID
	in     machine.Input
	start  *machine.Machine // it may start the instance
	effect es.UUID          // that it answers: the instance must exist and know it
}

// deliveries says whom an event of a partition concerns, of those sagas whose checkpoint it is beyond.
func (o *Orchestrator) deliveries(rec es.Record, at map[string]uint64) ([]delivery, error) {
	r := o.routes[rec.Type]
	if r == nil {
		return nil, nil
	}
	in, err := o.heard.of(rec)
	if err != nil {
		return nil, failure.At(failure.Who{Kind: "saga", Name: strings.Join(r.names(), ", ")}, rec, "", err)
	}
	var out []delivery
	to := map[es.StreamID]int{}
	add := func(d delivery) {
		if d.in = in; rec.Position <= at[d.to.Category] {
			return
		}
		n, have := to[d.to]
		if !have {
			to[d.to] = len(out)
			out = append(out, d)
			return
		}
		if !d.effect.IsZero() {
			out[n].effect = d.effect
		}
	}
	for _, m := range r.starts {
		if n, ok := m.Starts(in.Event); ok {
			add(delivery{to: es.StreamID{Category: m.Name, Key: rec.Stream.Key, N: n}, start: m})
		}
	}
	for _, m := range r.named {
		for _, n := range m.Numbers(in.Event) {
			add(delivery{to: es.StreamID{Category: m.Name, Key: rec.Stream.Key, N: n}})
		}
	}
	if ref := in.Meta.Effect; ref.Instance != "" {
		to := es.AnyStreamID(ref.Instance)
		if r.hears[to.Category] {
			add(delivery{to: to, effect: ref.ID})
		}
	}
	return out, nil
}

// names of the sagas, in order.
func (o *Orchestrator) names() []string { return slices.Sorted(maps.Keys(o.newest)) }
