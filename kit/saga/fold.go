package saga

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Fold replays what was taken and decided. It decides nothing. Where the definition does not give the commands that were recorded,
// nothing further is folded: the instance keeps what it hears, and sends nothing.
func (i *instance[S]) Fold(t Taken, noted es.Event) {
	i.take(t, noted)
	for _, d := range t.Decisions {
		if i.changed != "" {
			return
		}
		if i.knows(d) {
			was := d.Commands
			if d = i.fold(d); slices.Equal(was, d.Commands) {
				continue
			}
			i.changed = fmt.Sprintf("%s: attempt %d of %s asks for %s, recorded are %s", DefinitionChanged, d.Attempt, d.Step, named(d.Commands), named(was))
			continue
		}
		i.changed = fmt.Sprintf("%s: it has no step %s", DefinitionChanged, d.Step)
	}
}

// DefinitionChanged is why an instance is stuck whose definition gives other commands than it gave when they were recorded.
const DefinitionChanged = "definition_changed"

func named(cs []Command) string {
	if len(cs) == 0 {
		return "no commands"
	}
	s := ""
	for n, c := range cs {
		if n > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%s %s (%s)", c.Type, c.Item, c.Digest)
	}
	return s
}

func (i *instance[S]) knows(d Decision) bool {
	return d.Step == "" || slices.ContainsFunc(i.def.Steps, func(s Step[S]) bool { return s.Name == d.Step })
}

// take is the only way in which an instance takes an input: Step takes a new one, a restart what was stored.
func (i *instance[S]) take(t Taken, noted es.Event) {
	if s := t.Started; s != nil {
		i.phase, i.version, i.correlation = Doing, s.Version, s.Correlation
	}
	if e := t.Event; e != nil {
		i.heard[source{e.Stream, e.Revision}] = true
	}
	switch {
	case i.changed != "":
	case t.Event != nil:
		i.note(*t.Event, noted)
	case t.Answer != nil:
		if f := i.issued[t.Answer.Effect]; f != nil {
			f.answered, f.refused = true, t.Answer.Code
			i.unstick(t.Answer.Effect)
		}
	case t.Timer != nil:
		if p, _ := i.step(t.Timer.Step); p != nil {
			p.due, i.cause, i.stated = true, t.Timer.Timer.String(), time.Time{}
		}
	}
}

// fold is the only way in which a decision changes an instance. It gives the decision with the commands that it asks for.
func (i *instance[S]) fold(d Decision) Decision {
	p, n := i.step(d.Step)
	switch d.Kind {
	case Began:
		p.begun, p.does, p.at, p.since, p.deadline, p.due, p.waits, i.stuck = true, d.Attempt, d.At, d.At, d.Deadline, false, d.For, nil
		s := &i.def.Steps[n]
		if p.items = []string{""}; s.Items != nil {
			p.items = s.Items(i.state)
		}
		d.Commands = i.issue(n, es.Do, s.Do, d.After)
		p.nothing = s.Do != nil && len(d.Commands) == 0
	case Extended:
		p.waits, p.since, p.deadline = d.For, d.At, d.Deadline
	case Done:
		p.done, p.deadline, i.stuck = true, time.Time{}, nil
		i.revoke(n)
	case Failed:
		p.deadline, i.phase, i.failure, i.stuck = time.Time{}, Undo, d.Code, nil
		i.revoke(n)
	case Undoing:
		p.undoing, p.undone, p.undoes, p.undoAt, p.undoRefused, i.phase, i.stuck = true, false, d.Attempt, d.At, "", Undo, nil
		d.Commands = i.issue(n, es.Undo, i.def.Steps[n].Undo, d.After)
	case Undone:
		p.undone, p.undoneAt, i.stuck = true, p.undoes, nil
		i.revoke(n)
	case Stuck:
		i.stuck = &d
	case Ended:
		i.phase, i.stuck = d.How, nil
	default:
		panic(fmt.Sprintf("%s: unknown decision %q", i.name, d.Kind))
	}
	return d
}

func (i *instance[S]) note(e Noted, noted es.Event) {
	i.cause, i.stated = e.ID.String(), e.Stated
	at := At{es.AnyStreamID(e.Stream), e.Revision}
	if len(i.heard) == 1 {
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

// step finds a step by its name; nil: there is none.
func (i *instance[S]) step(name string) (*progress, int) {
	n := slices.IndexFunc(i.def.Steps, func(s Step[S]) bool { return s.Name == name })
	if n < 0 {
		return nil, n
	}
	return &i.steps[n], n
}

// issue takes the place of whatever the step owed before. It gives the commands that the step asks for now.
func (i *instance[S]) issue(n int, d es.Direction, ask func(S, Turn) Commands, after time.Time) (asked []Command) {
	i.revoke(n)
	if ask == nil {
		return nil
	}
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
			asked = append(asked, Command{item, c.CommandType(), digestOf(c)})
		}
	}
	return asked
}

// digestOf tells commands apart.
func digestOf(c es.Command) string {
	said, err := json.Marshal([]any{c.CommandType(), c.Stream().String(), c.Decision()})
	if err != nil {
		panic(fmt.Sprintf("%s to %s cannot be written: %v", c.CommandType(), c.Stream(), err))
	}
	sum := sha256.Sum256(said)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
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
