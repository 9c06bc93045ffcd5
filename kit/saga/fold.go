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
		p.begun, p.does, p.since, p.deadline, p.due, p.waits, i.stuck = true, e.Attempt, e.At, e.Deadline, false, "", nil
		i.clock(e.At)
		if do := i.def.Steps[n].Do; do != nil {
			asked := do(i.state)
			p.nothing = len(asked) == 0
			i.issue(n, es.Do, e.Attempt, e.After, asked)
		}
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
