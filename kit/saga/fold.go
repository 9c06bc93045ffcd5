package saga

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// Fold replays what was taken and decided. It decides nothing. Where the definition does not give the commands that were recorded,
// nothing further is folded: the instance keeps what it hears, and sends nothing.
func (i *instance[S]) Fold(t machine.Taken, noted es.Event) {
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
			i.changed = fmt.Sprintf("%s: attempt %d of %s asks for %s, recorded are %s", machine.DefinitionChanged, d.Attempt, d.Step, named(d.Commands), named(was))
			continue
		}
		i.changed = fmt.Sprintf("%s: it has no step %s that was %s", machine.DefinitionChanged, d.Step, d.Kind)
	}
}

func named(cs []machine.Command) string {
	if len(cs) == 0 {
		return "no commands"
	}
	all := make([]string, len(cs))
	for n, c := range cs {
		all[n] = fmt.Sprintf("%s %s (%s)", c.Type, c.Item, c.Digest)
	}
	return strings.Join(all, ", ")
}

// knows tells whether the definition can have made a decision.
func (i *instance[S]) knows(d machine.Decision) bool {
	p, n := i.step(d.Step)
	switch {
	case d.Step == "":
		return true
	case p == nil, d.Kind == machine.Assumed && i.def.Steps[n].Late == nil:
		return false
	}
	return true
}

// take is the only way in which an instance takes an input: Step takes a new one, a restart what was stored.
func (i *instance[S]) take(t machine.Taken, noted es.Event) {
	if s := t.Started; s != nil {
		i.phase, i.version, i.correlation = machine.Doing, s.Version, s.Correlation
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
			f.part.stale = f.part.stale && f != f.part.do
			i.unstick(t.Answer.Effect)
		}
	case t.Timer != nil:
		i.ring(*t.Timer)
	}
}

func (i *instance[S]) ring(t machine.TimerDue) {
	p, _ := i.step(t.Step)
	switch {
	case p == nil:
	case t.Reminder > 0:
		p.reminded, p.remind = t.Reminder, p.remind[min(1, len(p.remind)):]
	default:
		p.due, i.cause, i.stated = true, t.Timer.String(), time.Time{}
	}
}

// fold is the only way in which a decision changes an instance. It gives the decision with the commands that it asks for.
func (i *instance[S]) fold(d machine.Decision) machine.Decision {
	p, n := i.step(d.Step)
	switch d.Kind {
	case machine.Began:
		d.Commands = i.begun(n, d)
	case machine.Extended:
		p.due, p.late = false, ""
		p.wait(d)
	case machine.Assumed:
		i.def.Steps[n].Late(&i.state)
		i.finish(n)
	case machine.Done:
		i.finish(n)
	case machine.Late:
		p.late = d.Code
	case machine.Failed:
		i.phase, i.failure, i.asked = machine.Undo, d.Code, time.Time{}
		p.stopWaiting()
		i.revoke(n)
	case machine.Undoing:
		d.Commands = i.undoing(n, d)
	case machine.Undone:
		p.undone = true
		for _, one := range p.parts {
			one.undoneAt = one.undoes
		}
		i.revoke(n)
	case machine.Stuck:
		i.stuck = &d
	case machine.Ended:
		i.phase, i.until = d.How, d.Until
	case machine.Reopened:
		i.reopen()
	default:
		panic(fmt.Sprintf("%s: unknown decision %q", i.name, d.Kind))
	}
	i.settle(d)
	return d
}

// settle: what moves on is stuck no longer.
func (i *instance[S]) settle(d machine.Decision) {
	switch s := i.stuck; {
	case s == nil || d.Kind == machine.Stuck:
	case !s.Effect.IsZero():
		if f := i.issued[s.Effect]; f == nil || f.answered || f.revoked {
			i.stuck = nil
		}
	case d.Kind == machine.Failed, d.Kind == machine.Ended, d.Kind == machine.Reopened, s.Step == d.Step && (d.Kind == machine.Done || d.Kind == machine.Undone || s.Item == d.Item):
		i.stuck = nil
	}
}

// begun begins an attempt at the items of a step: at one, or at all that have not come.
func (i *instance[S]) begun(n int, d machine.Decision) (asked []machine.Command) {
	s, p := &i.def.Steps[n], &i.steps[n]
	items := []string{d.Item}
	if s.Items == nil || d.Item == "" {
		p.begun, p.does, p.due, p.late = true, d.Attempt, false, ""
		p.wait(d)
		if s.Items != nil {
			items = s.Items(i.state)
		}
	}
	for _, item := range items {
		one := p.part(item)
		switch {
		case one == nil:
			one = &part{item: item}
			p.parts = append(p.parts, one)
		case d.Item == "" && s.Done != nil && i.came(s, one):
			continue
		}
		one.does, one.at, one.stale = d.Attempt, d.At, false
		if one.do = i.issue(n, one, es.Do, s.Do, d.After); one.do != nil {
			one.did, asked = true, append(asked, commandOf(one.do))
		}
	}
	return asked
}

// undoing begins an attempt to undo the items of a step: one, or all that are not undone.
func (i *instance[S]) undoing(n int, d machine.Decision) (asked []machine.Command) {
	s, p := &i.def.Steps[n], &i.steps[n]
	i.phase = machine.Undo
	for _, one := range i.toUndo(s, p) {
		if d.Item != one.item && (d.Item != "" || p.undoing || s.Undone != nil && i.isUndone(s, p, one)) {
			continue
		}
		one.undoes, one.undoAt, one.undoRefused = d.Attempt, d.At, ""
		if one.undo = i.issue(n, one, es.Undo, s.Undo, d.After); one.undo != nil {
			asked = append(asked, commandOf(one.undo))
		}
	}
	p.undoing, p.undone = true, false
	return asked
}

func (i *instance[S]) finish(n int) {
	p := &i.steps[n]
	p.begun, p.done, p.late = true, true, ""
	p.stopWaiting()
	i.revoke(n)
}

// reopen leads back to before the first step. What the steps did is still known.
func (i *instance[S]) reopen() {
	i.phase, i.asked, i.askedOver, i.until = machine.Doing, time.Time{}, false, time.Time{}
	i.opening++
	for n := range i.steps {
		p := &i.steps[n]
		for _, one := range p.parts {
			one.base = one.does
		}
		*p = progress{parts: p.parts, does: p.does}
	}
}

func (i *instance[S]) note(e machine.Noted, noted es.Event) {
	i.cause, i.stated = e.ID.String(), e.Stated
	at := At{es.AnyStreamID(e.Stream), e.Revision}
	if len(i.heard) == 1 {
		i.def.Start.fold(&i.state, noted, at)
	}
	f := i.issued[e.Effect]
	before := i.said(f)
	hear := func(r Reply[S]) {
		switch code := r.fold(&i.state, noted, at); {
		case code == "" || f == nil:
		case r.undo:
			f.part.undoRefused = code
		default:
			f.refused = code
		}
	}
	for _, r := range i.table.named[e.Type] {
		if r.reaches(noted, i.id.N) {
			hear(r)
		}
	}
	if reaches(i.table.reopens[e.Type], noted, i.id.N) {
		i.asked, i.askedOver = e.Recorded, i.phase == machine.Completed
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
	switch {
	case f == f.part.do:
		f.part.stale = false
	case before != i.said(f):
		f.part.stale = true
	}
	i.unstick(e.Effect)
}

// said is what S says of an item to which an answer of before the instance was reopened has come: such an answer ends no newer attempt.
func (i *instance[S]) said(f *issue) (said struct {
	done    bool
	refused es.Code
}) {
	if f == nil || f.effect.Direction != es.Do || f.opening == i.opening || !i.steps[f.at].begun {
		return said
	}
	s, t := &i.def.Steps[f.at], i.turn(f.part, es.Do)
	said.done = s.Done != nil && s.Done(i.state, t)
	if s.Refused != nil {
		said.refused = s.Refused(i.state, t)
	}
	return said
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

// issue takes the place of whatever the item owed before. nil: the step asks for no command.
func (i *instance[S]) issue(n int, one *part, d es.Direction, ask func(S, Turn) Commands, after time.Time) *issue {
	for _, f := range i.order {
		if f.part == one {
			f.revoked = true
		}
	}
	if ask == nil {
		return nil
	}
	step, attempt := i.def.Steps[n].Name, one.does
	if d == es.Undo {
		attempt = one.undoes
	}
	commands := ask(i.state, i.turn(one, d))
	switch {
	case len(commands) == 0:
		return nil
	case len(commands) > 1:
		panic(fmt.Sprintf("%s: step %q asks twice for item %q", i.name, step, one.item))
	}
	id := es.EffectID(i.name, step, one.item, attempt, d)
	if i.issued[id] != nil {
		panic(fmt.Sprintf("%s: attempt %d of step %q was made before for item %q", i.name, attempt, step, one.item))
	}
	f := &issue{at: n, part: one, opening: i.opening, effect: machine.Effect{
		ID: id, Step: step, Item: one.item, Attempt: attempt, Direction: d, Command: commands[0],
		NotBefore: after, Causation: i.cause, Correlation: i.correlation, Stated: i.stated,
	}}
	i.issued[id] = f
	i.order = append(i.order, f)
	return f
}

func commandOf(f *issue) machine.Command {
	return machine.Command{Item: f.effect.Item, Type: f.effect.Command.CommandType(), Digest: digestOf(f.effect.Command)}
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

func (i *instance[S]) revoke(n int) {
	for _, f := range i.order {
		if f.at == n {
			f.revoked = true
		}
	}
}
