package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// instance is a saga's instance, folded from its stream.
type instance struct {
	id     es.StreamID
	run    machine.Running
	events uint64
	last   time.Time // recorded time of its newest event
}

// start is an event that starts an instance.
type start struct{ record es.Record }

// refold folds an event of an instance's stream.
func (h *history) refold(_ es.Record, e es.Recorded) error {
	i := h.instances[e.Stream]
	if i == nil {
		i = &instance{id: e.Stream, run: h.machines[e.Stream.Category].New(e.Stream)}
		h.instances[e.Stream] = i
		h.byKey[e.Stream.Key] = append(h.byKey[e.Stream.Key], i)
	}
	i.events, i.last = e.Revision+1, e.Created
	return machine.Refold(i.run, h.cfg.Catalog, e.Event)
}

// standing is the state of an instance, and a word about why.
type standing struct {
	kind string
	why  string
}

const (
	ended   = "ended"   // and owes nothing
	stuck   = "stuck"   // with a reason
	waiting = "waiting" // for a stated timer, the provider or a person
	owing   = "owing"   // a command has no answer, or a timer is due
	lost    = "lost"    // it waits for nothing
)

func (h *history) standing(i *instance) standing {
	now := h.cfg.Now()
	status, effects, timers := i.run.Status(), i.run.Effects(), i.run.Timers()
	var owed []string
	for _, f := range effects {
		if f.NotBefore.Before(now) {
			owed = append(owed, fmt.Sprintf("%s %s (%s)", f.Step, f.Command.CommandType(), f.ID))
		}
	}
	for _, t := range timers {
		if !t.Due.After(now) {
			owed = append(owed, fmt.Sprintf("the timer of %s, due %s", t.Step, t.Due.Format(time.RFC3339)))
		}
	}
	switch {
	case status.Stuck != "":
		return standing{stuck, status.Stuck}
	case len(owed) > 0:
		return standing{owing, strings.Join(owed, ", ")}
	case len(effects)+len(timers) > 0:
		return standing{waiting, "a timer"}
	case status.Awaits:
		return standing{waiting, "an event"}
	case status.Phase.Over():
		return standing{kind: ended}
	}
	if what := h.awaits(i.id.Key); what != "" {
		return standing{waiting, what}
	}
	return standing{lost, fmt.Sprintf("%s %s", status.Phase, status.Step)}
}

// missing are the instances that must be and are not.
func (h *history) missing() (out []es.StreamID) {
	for id, s := range h.due {
		if h.instances[id] == nil && s.record.Position > h.deployed[id.Category] {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(a, b es.StreamID) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// checkSagas is I6.
func (h *history) checkSagas() {
	now := h.cfg.Now()
	count := map[string]int{}
	late := func(since time.Time) bool { return !h.cfg.Stopped && now.Sub(since) >= h.cfg.Patience }
	for _, id := range h.missing() {
		r := h.due[id].record
		if !late(r.Created) {
			h.top.Movef("%s has not begun", id)
			continue
		}
		h.out.Find(at("I6", r, "%s should have started %s", r.Type, id))
	}
	for _, id := range slices.SortedFunc(maps.Keys(h.instances), func(a, b es.StreamID) int { return strings.Compare(a.String(), b.String()) }) {
		i := h.instances[id]
		s := h.standing(i)
		count[s.kind]++
		revision := i.events - 1
		f := doctor.Finding{Invariant: "I6", Stream: id.String(), Revision: &revision}
		switch {
		case s.kind == stuck:
			h.out.Notef("%s is stuck: %s", id, s.why)
		case s.kind == waiting:
			h.out.Notef("%s waits for %s", id, s.why)
		case s.kind == lost && !h.top.AtRest && !late(i.last):
			h.top.Movef("%s has not ended (%s) and may have an answer that it has not heard", id, s.why)
		case s.kind == lost:
			f.Problem = fmt.Sprintf("it has not ended (%s) and waits for nothing", s.why)
			h.out.Find(f)
		case s.kind == owing && late(i.last):
			f.Problem = fmt.Sprintf("nothing has happened for %s, and it owes %s", now.Sub(i.last).Round(time.Second), s.why)
			h.out.Find(f)
		case s.kind == owing:
			h.top.Movef("%s owes %s", id, s.why)
		}
	}
	for kind, n := range count {
		h.out.Checked["sagas "+kind] = n
	}
}
