package saga

import (
	"slices"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
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
func (i *instance[S]) next(now time.Time) (d machine.Decision, ok bool) {
	d = i.decide(now)
	return d, d.Kind != ""
}

func (i *instance[S]) decide(now time.Time) machine.Decision {
	switch i.phase {
	case machine.Doing:
		return i.nextDoing(now)
	case machine.Undo, machine.Compensated:
		return i.nextUndoing(now)
	case machine.Completed:
		return i.nextCompleted()
	}
	return machine.Decision{}
}

// exhausted tells whether something was refused too often. What is heard later may still show that it came.
func (i *instance[S]) exhausted() bool { return i.stuck != nil && i.stuck.Effect.IsZero() }

func (i *instance[S]) nextDoing(now time.Time) machine.Decision {
	n := slices.IndexFunc(i.steps, func(p progress) bool { return !p.done })
	if n < 0 {
		return i.completed(now)
	}
	s, p := &i.def.Steps[n], &i.steps[n]
	if c := i.aborts(); c != "" && !i.pivotBegun() && !i.exhausted() {
		return machine.Decision{Kind: machine.Failed, Step: s.Name, Code: c}
	}
	if !p.begun {
		return i.begin(s, p, now)
	}
	if more := i.more(s, p); more != "" {
		return machine.Decision{Kind: machine.Began, Step: s.Name, Item: more, Attempt: 1, At: now}
	}
	if i.allCame(s, p) {
		return machine.Decision{Kind: machine.Done, Step: s.Name}
	}
	if d := i.nextRefused(n, now); d.Kind != "" || i.exhausted() {
		return d
	}
	return i.nextWaiting(n, now)
}

// more is an item that came into being while the step runs, or "".
func (i *instance[S]) more(s *Step[S], p *progress) string {
	if s.Items == nil {
		return ""
	}
	for _, item := range s.Items(i.state) {
		if p.part(item) == nil {
			return item
		}
	}
	return ""
}

// nextRefused is about the items that were refused. What may be undone is undone as a whole, once it is known how much of it happened.
// What must happen is tried again item by item.
func (i *instance[S]) nextRefused(n int, now time.Time) machine.Decision {
	s, p := &i.def.Steps[n], &i.steps[n]
	must := s.Insists || i.pivotDone()
	unknown := !must && p.open() > 0 && !p.due
	for _, one := range p.parts {
		code := i.refused(s, one)
		if one.do != nil && !unknown {
			code = either(code, one.do.refused)
		}
		switch {
		case code == "" || i.came(s, one):
		case !must && !i.exhausted():
			return machine.Decision{Kind: machine.Failed, Step: s.Name, Code: code}
		case s.Do != nil && one.does-one.base < maxTries:
			return i.again(s, one, now)
		case !i.exhausted():
			return machine.Decision{Kind: machine.Stuck, Step: s.Name, Item: one.item, Code: code, Message: "refused too often"}
		}
	}
	return machine.Decision{}
}

// nextWaiting is about what has not come in time.
func (i *instance[S]) nextWaiting(n int, now time.Time) machine.Decision {
	s, p := &i.def.Steps[n], &i.steps[n]
	var d Deadline
	if s.Deadline != nil {
		d = s.Deadline(i.state)
	}
	pivot := i.def.pivot()
	switch {
	case p.due && (pivot < 0 || n < pivot):
		return machine.Decision{Kind: machine.Failed, Step: s.Name, Code: either(d.Code, "timed_out")}
	case p.due && s.Late != nil:
		return machine.Decision{Kind: machine.Assumed, Step: s.Name}
	case p.due && p.late == "":
		return machine.Decision{Kind: machine.Late, Step: s.Name, Code: either(d.Code, "timed_out")}
	case d.For != "" && d.For != p.waits:
		b := machine.Decision{Kind: machine.Extended, Step: s.Name, At: now}
		limit(&b, d, now)
		return b
	}
	return machine.Decision{}
}

// begin is the first attempt at a step, or the next one of a step without items.
func (i *instance[S]) begin(s *Step[S], p *progress, now time.Time) machine.Decision {
	attempt := 1
	for _, one := range p.parts { // it was reopened
		attempt = max(attempt, one.does+1)
	}
	if attempt > 1 && s.Done != nil && i.more(s, p) == "" && i.allCame(s, p) {
		return machine.Decision{Kind: machine.Done, Step: s.Name}
	}
	b := machine.Decision{Kind: machine.Began, Step: s.Name, Attempt: attempt, At: now}
	if s.Deadline != nil {
		limit(&b, s.Deadline(i.state), now)
	}
	return b
}

// again is the next attempt at one item.
func (i *instance[S]) again(s *Step[S], one *part, now time.Time) machine.Decision {
	b := machine.Decision{Kind: machine.Began, Step: s.Name, Item: one.item, Attempt: one.does + 1, At: now, After: pauseBefore(one.does+1-one.base, now)}
	if s.Items == nil && s.Deadline != nil {
		limit(&b, s.Deadline(i.state), now)
	}
	return b
}

// limit puts a deadline into the decision that begins a wait.
func limit(b *machine.Decision, d Deadline, now time.Time) {
	b.For = d.For
	if d.Within > 0 {
		b.Deadline = now.Add(d.Within)
	}
	for _, after := range d.Remind {
		b.Remind = append(b.Remind, now.Add(after))
	}
}

// nextUndoing goes in reverse, each step finished before the one before it. An item that was undone and came after all
// is undone again, also after the end.
func (i *instance[S]) nextUndoing(now time.Time) machine.Decision {
	for n := len(i.steps) - 1; n >= 0; n-- {
		s, p := &i.def.Steps[n], &i.steps[n]
		parts := i.toUndo(s, p)
		if len(parts) == 0 || p.undone && s.Undone == nil {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(parts), func(one *part) bool { return i.isUndone(s, p, one) })
		switch {
		case len(left) == 0 && p.undone:
			continue
		case len(left) == 0:
			return machine.Decision{Kind: machine.Undone, Step: s.Name}
		case p.undone:
			return machine.Decision{Kind: machine.Undoing, Step: s.Name, Item: left[0].item, Attempt: left[0].undoes + 1, At: now}
		case !p.undoing:
			return machine.Decision{Kind: machine.Undoing, Step: s.Name, Attempt: 1, At: now}
		}
		return i.undoAgain(s, left, now)
	}
	if i.phase == machine.Compensated {
		return machine.Decision{}
	}
	return machine.Decision{Kind: machine.Ended, How: machine.Compensated}
}

// undoAgain is about the items whose undo was refused.
func (i *instance[S]) undoAgain(s *Step[S], left []*part, now time.Time) machine.Decision {
	for _, one := range left {
		refused, tries := one.undoRefused, one.undoes-one.undoneAt
		if one.undo != nil {
			refused = either(refused, one.undo.refused)
		}
		switch {
		case refused == "":
		case tries < maxTries:
			return machine.Decision{Kind: machine.Undoing, Step: s.Name, Item: one.item, Attempt: one.undoes + 1, At: now, After: pauseBefore(tries+1, now)}
		case !i.exhausted():
			return machine.Decision{Kind: machine.Stuck, Step: s.Name, Item: one.item, Code: refused, Message: "its undo was refused too often"}
		}
	}
	return machine.Decision{}
}

func (i *instance[S]) completed(now time.Time) machine.Decision {
	d := machine.Decision{Kind: machine.Ended, How: machine.Completed}
	if i.def.Reopen.Within > 0 {
		d.Until = now.Add(i.def.Reopen.Within)
	}
	return d
}

// nextCompleted: an event that reopens was heard after the end, or before it when it was too late to stop.
func (i *instance[S]) nextCompleted() machine.Decision {
	switch {
	case i.asked.IsZero() || i.stuck != nil || !i.askedOver && i.aborts() == "":
		return machine.Decision{}
	case i.asked.After(i.until):
		return machine.Decision{Kind: machine.Stuck, Code: machine.ReopenedTooLate, Message: "recorded at " + i.asked.Format(time.RFC3339) + ", it could be reopened until " + i.until.Format(time.RFC3339)}
	}
	return machine.Decision{Kind: machine.Reopened}
}

func (i *instance[S]) aborts() es.Code {
	if i.def.Abort == nil {
		return ""
	}
	return i.def.Abort(i.state)
}

// pivotBegun: from then on only a refusal of the pivot itself leads back.
func (i *instance[S]) pivotBegun() bool {
	n := i.def.pivot()
	return n >= 0 && i.steps[n].begun
}

// pivotDone: from then on nothing leads back.
func (i *instance[S]) pivotDone() bool {
	n := i.def.pivot()
	return n >= 0 && i.steps[n].done
}
