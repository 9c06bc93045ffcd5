package saga

import (
	"fmt"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Fold is the only way in which an instance changes: Step folds what it made, a restart what was stored.
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
		p.begun, p.does, p.at, p.since, p.deadline, p.due, p.waits, i.stuck = true, e.Attempt, e.At, e.At, e.Deadline, false, e.For, nil
		s := &i.def.Steps[n]
		if p.items = []string{""}; s.Items != nil {
			p.items = s.Items(i.state)
		}
		p.nothing = s.Do != nil && i.issue(n, es.Do, s.Do, e.After) == 0
	case Extended:
		p, _ := i.step(e.Step)
		p.waits, p.since, p.deadline = e.For, e.At, e.Deadline
	case Done:
		p, n := i.step(e.Step)
		p.done, p.deadline, i.stuck = true, time.Time{}, nil
		i.revoke(n)
	case Failed:
		p, n := i.step(e.Step)
		p.deadline, i.phase, i.failure, i.stuck = time.Time{}, Undo, e.Code, nil
		i.revoke(n)
	case Undoing:
		p, n := i.step(e.Step)
		p.undoing, p.undone, p.undoes, p.undoAt, p.undoRefused, i.phase, i.stuck = true, false, e.Attempt, e.At, "", Undo, nil
		i.issue(n, es.Undo, i.def.Steps[n].Undo, e.After)
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

func (i *instance[S]) step(name string) (*progress, int) {
	n := slices.IndexFunc(i.def.Steps, func(s Step[S]) bool { return s.Name == name })
	if n < 0 {
		panic(fmt.Sprintf("saga %s version %d has no step %q", i.def.Name, i.def.Version, name))
	}
	return &i.steps[n], n
}

// issue takes the place of whatever the step owed before. It gives how many commands the step asks for now.
func (i *instance[S]) issue(n int, d es.Direction, ask func(S, Turn) Commands, after time.Time) (asked int) {
	i.revoke(n)
	step := i.def.Steps[n].Name
	for _, item := range i.steps[n].items {
		t := i.turn(n, d, item)
		for _, c := range ask(i.state, t) {
			id := es.EffectID(i.name, step, item, t.Attempt, d)
			if i.issued[id] != nil {
				panic(fmt.Sprintf("%s: step %q asks twice for item %q", i.name, step, item))
			}
			f := &issue{at: n, effect: Effect{
				ID: id, Step: step, Item: item, Attempt: t.Attempt, Direction: d, Command: c,
				NotBefore: after, Causation: i.cause, Correlation: i.correlation, Stated: i.stated,
			}}
			i.issued[id] = f
			i.order = append(i.order, f)
			asked++
		}
	}
	return asked
}

func (i *instance[S]) turn(n int, d es.Direction, item string) Turn {
	p := &i.steps[n]
	if d == es.Undo {
		return Turn{Item: item, Attempt: p.undoes, At: p.undoAt, Why: i.failure}
	}
	return Turn{Item: item, Attempt: p.does, At: p.at, Why: i.failure}
}

func (i *instance[S]) revoke(n int) {
	for _, f := range i.order {
		if f.at == n {
			f.revoked = true
		}
	}
}
