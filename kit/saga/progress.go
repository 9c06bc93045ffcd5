package saga

import (
	"slices"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// progress is how far a step is, since the instance began or was reopened.
type progress struct {
	begun, done, undoing, undone bool
	parts                        []*part // its items, as begun
	does                         int     // the newest attempt at the step as a whole
	waits                        string
	since, deadline              time.Time   // of what is waited for now
	remind                       []time.Time // the reminders to come
	reminded                     int
	due                          bool    // the deadline came while it was awaited
	late                         es.Code // beyond its deadline, and not undone
}

// part is one item of a step.
type part struct {
	item         string
	does, undoes int // attempts
	base         int // of does, when the instance was reopened
	at, undoAt   time.Time
	do, undo     *issue  // of the newest attempts; nil: it asked for no command
	did          bool    // some attempt asked for one
	undoneAt     int     // of undoes, when it was last undone
	undoRefused  es.Code // why the newest attempt to undo it failed
	stale        bool    // what S says of it comes from an answer of before the instance was reopened
}

// issue is an effect and what became of it.
type issue struct {
	effect   machine.Effect
	at       int // step
	part     *part
	opening  int // how often the instance had been reopened
	answered bool
	from     uint64 // an answer heard later is recorded here or after
	refused  es.Code
	revoked  bool // another attempt, or the other direction, took its place: owed no longer
}

func (p *progress) part(item string) *part {
	for _, one := range p.parts {
		if one.item == item {
			return one
		}
	}
	return nil
}

// turn is what a step is asked about.
func (i *instance[S]) turn(p *part, d es.Direction) Turn {
	t := Turn{Item: p.item, Attempt: p.does, At: p.at, Why: i.failure}
	if d == es.Undo {
		t.At = p.undoAt
	}
	return t
}

// came tells whether an item is done.
func (i *instance[S]) came(s *Step[S], p *part) bool {
	switch {
	case s.Do != nil && p.do == nil:
		return true
	case s.Done != nil:
		return !p.stale && s.Done(i.state, i.turn(p, es.Do))
	}
	return p.do == nil || p.do.answered && p.do.refused == "" && i.refused(s, p) == ""
}

// refused is why an item cannot come, as far as S says.
func (i *instance[S]) refused(s *Step[S], p *part) es.Code {
	if s.Refused == nil || p.stale {
		return ""
	}
	return s.Refused(i.state, i.turn(p, es.Do))
}

func (i *instance[S]) allCame(s *Step[S], p *progress) bool {
	return !slices.ContainsFunc(p.parts, func(one *part) bool { return !i.came(s, one) })
}

// toUndo are the items of a step that possibly happened.
func (i *instance[S]) toUndo(s *Step[S], p *progress) (out []*part) {
	if s.Undo == nil {
		return nil
	}
	for _, one := range p.parts {
		if s.Do == nil || one.did {
			out = append(out, one)
		}
	}
	return out
}

// isUndone tells whether an item is undone, as far as is known now.
func (i *instance[S]) isUndone(s *Step[S], p *progress, one *part) bool {
	if s.Undone != nil {
		return s.Undone(i.state, i.turn(one, es.Undo))
	}
	return p.undoing && one.undoes > 0 && (one.undo == nil || one.undo.answered && one.undo.refused == "" && one.undoRefused == "")
}

// open says of how many items the newest command has no answer.
func (p *progress) open() (owed int) {
	for _, one := range p.parts {
		if one.do != nil && !one.do.answered && !one.do.revoked {
			owed++
		}
	}
	return owed
}

func (p *progress) wait(d machine.Decision) {
	p.waits, p.since, p.deadline, p.remind, p.reminded = d.For, d.At, d.Deadline, d.Remind, 0
}

func (p *progress) stopWaiting() { p.deadline, p.remind = time.Time{}, nil }
