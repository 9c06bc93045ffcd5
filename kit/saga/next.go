package saga

import (
	"slices"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

const (
	maxTries   = 5           // attempts of what must happen, before the instance is stuck
	firstPause = time.Second // before the second attempt; then doubled
)

func pauseBefore(attempt int, now time.Time) time.Time {
	if attempt < 2 {
		return time.Time{}
	}
	return now.Add(firstPause << (attempt - 2))
}

// next is the one decision the state calls for, if any. It is the whole of the engine's logic.
func (i *instance[S]) next(now time.Time) (d Decision, ok bool) {
	d = i.decide(now)
	return d, d.Kind != ""
}

func (i *instance[S]) decide(now time.Time) Decision {
	if i.stuck != nil && i.stuck.Effect.IsZero() {
		return i.nextWhileStuck()
	}
	switch i.phase {
	case Doing:
		return i.nextDoing(now)
	case Undo, Compensated:
		return i.nextUndoing(now)
	case Completed:
	}
	return Decision{}
}

func (i *instance[S]) nextDoing(now time.Time) Decision {
	n := slices.IndexFunc(i.steps, func(p progress) bool { return !p.done })
	if n < 0 {
		return Decision{Kind: Ended, How: Completed}
	}
	s, p := &i.def.Steps[n], i.steps[n]
	if i.def.Abort != nil && !i.pivotBegun() {
		if c := i.def.Abort(i.state); c != "" {
			return Decision{Kind: Failed, Step: s.Name, Code: c}
		}
	}
	if !p.begun {
		return i.begin(s, 1, now)
	}
	owed, refused := i.open(n, es.Do, p.does)
	if owed > 0 && !p.due { // how many were refused is not known yet
		refused = ""
	}
	if s.Refused != nil {
		for _, item := range p.items {
			refused = either(s.Refused(i.state, i.turn(n, es.Do, item)), refused)
		}
	}
	var d Deadline
	if s.Deadline != nil {
		d = s.Deadline(i.state)
	}
	switch {
	case s.Do == nil, p.nothing, s.Done == nil && owed == 0 && refused == "", i.each(n, es.Do, s.Done):
		return Decision{Kind: Done, Step: s.Name}
	case refused != "" && !s.Insists && !i.pivotDone():
		return Decision{Kind: Failed, Step: s.Name, Code: refused}
	case refused != "" && p.does < maxTries:
		return i.begin(s, p.does+1, now)
	case refused != "":
		return Decision{Kind: Stuck, Step: s.Name, Code: refused, Message: "refused too often"}
	case p.due:
		return Decision{Kind: Failed, Step: s.Name, Code: either(d.Code, "timed_out")}
	case d.For != "" && d.For != p.waits:
		return Decision{Kind: Extended, Step: s.Name, For: d.For, At: now, Deadline: d.from(now)}
	}
	return Decision{}
}

// each tells whether a question is answered yes for every item of a step; nil is not.
func (i *instance[S]) each(n int, d es.Direction, is func(S, Turn) bool) bool {
	return is != nil && !slices.ContainsFunc(i.steps[n].items, func(item string) bool { return !is(i.state, i.turn(n, d, item)) })
}

func (i *instance[S]) begin(s *Step[S], attempt int, now time.Time) Decision {
	b := Decision{Kind: Began, Step: s.Name, Attempt: attempt, At: now, After: pauseBefore(attempt, now)}
	if s.Deadline != nil {
		d := s.Deadline(i.state)
		b.For, b.Deadline = d.For, d.from(now)
	}
	return b
}

// from is when a deadline that begins now ends; zero if it does not.
func (d Deadline) from(now time.Time) (end time.Time) {
	if d.Within > 0 {
		end = now.Add(d.Within)
	}
	return end
}

// nextUndoing goes in reverse, each step finished before the one before it. A step that was undone and stands again
// is undone again, also after the end.
func (i *instance[S]) nextUndoing(now time.Time) Decision {
	for n := len(i.steps) - 1; n >= 0; n-- {
		s, p := &i.def.Steps[n], i.steps[n]
		if !p.begun || s.Undo == nil || p.nothing {
			continue
		}
		late := p.undone && s.Undone != nil && !i.each(n, es.Undo, s.Undone)
		if p.undone && !late {
			continue
		}
		owed, refused := i.open(n, es.Undo, p.undoes)
		refused = either(p.undoRefused, refused)
		switch {
		case late:
			return Decision{Kind: Undoing, Step: s.Name, Attempt: p.undoes + 1, At: now}
		case i.each(n, es.Undo, s.Undone), s.Undone == nil && p.undoing && owed == 0 && refused == "":
			return Decision{Kind: Undone, Step: s.Name}
		case !p.undoing:
			return Decision{Kind: Undoing, Step: s.Name, Attempt: p.undoes + 1, At: now}
		case refused != "" && p.undoes-p.undoneAt < maxTries:
			return Decision{Kind: Undoing, Step: s.Name, Attempt: p.undoes + 1, At: now, After: pauseBefore(p.undoes-p.undoneAt+1, now)}
		case refused != "":
			return Decision{Kind: Stuck, Step: s.Name, Code: refused, Message: "its undo was refused too often"}
		}
		return Decision{}
	}
	if i.phase == Compensated {
		return Decision{}
	}
	return Decision{Kind: Ended, How: Compensated}
}

// nextWhileStuck: something was refused too often. What is heard later may still show that it has come true.
func (i *instance[S]) nextWhileStuck() Decision {
	p, n := i.step(i.stuck.Step)
	switch s := i.def.Steps[n]; {
	case i.phase == Doing && i.each(n, es.Do, s.Done):
		return Decision{Kind: Done, Step: s.Name}
	case i.phase == Undo && p.undoing && i.each(n, es.Undo, s.Undone):
		return Decision{Kind: Undone, Step: s.Name}
	}
	return Decision{}
}

// open says how many commands of an attempt have no answer, and why one was refused.
func (i *instance[S]) open(n int, d es.Direction, attempt int) (owed int, refused es.Code) {
	for _, f := range i.order {
		if f.at != n || f.effect.Direction != d || f.effect.Attempt != attempt || f.revoked {
			continue
		}
		if !f.answered {
			owed++
		}
		refused = either(refused, f.refused)
	}
	return owed, refused
}

// pivotBegun: from then on only a refusal of the pivot itself leads back.
func (i *instance[S]) pivotBegun() bool {
	return i.pivot(func(p progress) bool { return p.begun })
}

// pivotDone: from then on nothing leads back.
func (i *instance[S]) pivotDone() bool { return i.pivot(func(p progress) bool { return p.done }) }

func (i *instance[S]) pivot(is func(progress) bool) bool {
	n := slices.IndexFunc(i.def.Steps, func(s Step[S]) bool { return s.Undo == nil })
	return n >= 0 && is(i.steps[n])
}
