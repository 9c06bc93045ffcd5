package saga

import (
	"errors"
	"fmt"
	"slices"
)

// awaits: the step sends nothing, and is done when Done says so.
func (s *Step[S]) awaits() bool { return s.Do == nil && s.Done != nil }

// pivot is the first step that does something and cannot be undone; -1: there is none.
func (d *Definition[S]) pivot() int {
	return slices.IndexFunc(d.Steps, func(s Step[S]) bool { return s.Do != nil && s.Undo == nil })
}

func (d *Definition[S]) check() error {
	switch {
	case d.Name == "" || d.Version < 1:
		return fmt.Errorf("saga %q version %d: needs a name and a version from 1", d.Name, d.Version)
	case d.Start.starts == nil:
		return fmt.Errorf("saga %s: Start needs Start or StartNumbered", d.Name)
	case (len(d.Reopen.On) > 0) != (d.Reopen.Within > 0):
		return fmt.Errorf("saga %s: Reopen needs both events and a time", d.Name)
	}
	names := map[string]bool{}
	for n := range d.Steps {
		s := &d.Steps[n]
		if names[s.Name] {
			return fmt.Errorf("saga %s: two steps are called %q", d.Name, s.Name)
		}
		names[s.Name] = true
		if wrong := d.wrong(n); wrong != "" {
			return fmt.Errorf("saga %s: step %q %s", d.Name, s.Name, wrong)
		}
	}
	return d.reachable()
}

// wrong says what is wrong with a step, or "".
func (d *Definition[S]) wrong(n int) string {
	s, pivot := &d.Steps[n], d.pivot()
	beyond := pivot >= 0 && n > pivot
	switch {
	case s.Name == "" || s.Do == nil && s.Undo == nil && s.Done == nil:
		return "needs a name and something to do, to await or to undo"
	case beyond && s.Undo != nil:
		return fmt.Sprintf("can be undone but follows the pivot %q", d.Steps[pivot].Name)
	case s.Undo == nil && slices.ContainsFunc(s.On, func(r Reply[S]) bool { return r.undo }):
		return "has a reply of an undo and cannot be undone"
	case s.Do == nil && slices.ContainsFunc(s.On, func(r Reply[S]) bool { return r.refuses && !r.undo }):
		return "has a refusal of a command and sends none: use Refused"
	case s.Deadline != nil && s.Do == nil && s.Done == nil:
		return "has a deadline and waits for nothing"
	case s.Late != nil && (!s.awaits() || !beyond || s.Deadline == nil):
		return "has Late, which is of a step that awaits after the pivot, within a deadline"
	}
	return ""
}

// reachable refuses replies that no instance would ever hear. Named events reach the instances of their key by number, answers reach
// the instance that sent the command.
func (d *Definition[S]) reachable() error {
	named := func(where string, replies []Reply[S]) error {
		for _, r := range replies {
			switch {
			case r.starts != nil:
				return fmt.Errorf("saga %s: %s in %s is a Start", d.Name, r.eventType, where)
			case d.Start.numbered && r.numbers == nil:
				return fmt.Errorf("saga %s: %s in %s reaches no instance, because they are numbered: use OnNumbered", d.Name, r.eventType, where)
			case !d.Start.numbered && r.numbers != nil:
				return fmt.Errorf("saga %s: %s in %s reaches no instance, because none has a number: use On, or StartNumbered", d.Name, r.eventType, where)
			}
		}
		return nil
	}
	err := errors.Join(named("On", d.On), named("Reopen", d.Reopen.On))
	for n := range d.Steps {
		s := &d.Steps[n]
		where := fmt.Sprintf("step %q", s.Name)
		byName, answers := s.replies()
		err = errors.Join(err, named(where, byName))
		for _, r := range answers {
			if r.numbers != nil || r.starts != nil {
				err = errors.Join(err, fmt.Errorf("saga %s: %s in %s is an answer, which reaches the instance that sent the command: use On", d.Name, r.eventType, where))
			}
		}
	}
	return err
}

// replies tells what a step hears by name from the answers to its effects.
func (s *Step[S]) replies() (named, answers []Reply[S]) {
	for _, r := range s.On {
		if s.awaits() && !r.undo {
			named = append(named, r)
		} else {
			answers = append(answers, r)
		}
	}
	return named, answers
}
