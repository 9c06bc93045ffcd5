package saga

import (
	"fmt"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Definition is a saga over state S, read from top to bottom as the table in domain.md.
// S is the fold of what the saga heard; nothing else may change it.
type Definition[S any] struct {
	Name    string // category of its instances' streams: "placement"
	Version int    // a running instance keeps the one it began with
	Start   Reply[S]
	On      []Reply[S]      // what concerns the whole, with or without an effect: a cancellation
	Abort   func(S) es.Code // stop and undo, unless the pivot has begun; "" = go on
	Steps   []Step[S]
}

// Step is one row. Every function but On is a question about S: the answers may come in any order.
type Step[S any] struct {
	Name         string
	Items        func(S) []string       // what it does one by one: lines, shipments; asked when an attempt begins. nil: one, called ""
	Do           func(S, Turn) Commands // for an item; none at all = the step is passed over. nil: it sends nothing
	Undo         func(S, Turn) Commands // for an item of Do. nil: cannot be undone, it is the pivot or follows it
	On           []Reply[S]             // the answers to its effects, at any time, even after the end
	Done, Undone func(S, Turn) bool     // of an item; false while it is not known. nil: when its command was answered
	Refused      func(S, Turn) es.Code  // "" = not, or not known. Beside it the refusal of a command of Do, once all are answered
	Insists      bool                   // refused, it is tried again as a new attempt, never undone
	Deadline     func(S) Deadline       // of Do; beyond it the step is in doubt, and undone. nil: none
}

// Turn is what a step is asked about.
type Turn struct {
	Item    string
	Attempt int       // from 1; of Do, or of Undo
	At      time.Time // recorded time at which the attempt began
	Why     es.Code   // why it is undone
}

// Deadline is how long a step waits. One with another For takes the place of the one before, and counts from when it is seen.
type Deadline struct {
	For    string        // what is waited for beyond the answers: a person, mostly
	Within time.Duration // 0: without end
	Code   es.Code       // why the step failed then; "" = timed_out
}

// Reply is how one type of event changes S.
type Reply[S any] struct {
	eventType string
	fold      func(*S, es.Event, At) es.Code // a code: the command was refused
	undo      bool                           // the code is of the step's undo
	starts    func(es.Event) (n int, ok bool)
}

// At is where an event stands. A later event of a stream has the greater revision, in whatever order they come.
type At struct {
	Stream   es.StreamID
	Revision uint64
}

// On erases E once; the assertion inside cannot fail, because replies are found by E's wire name.
func On[S any, E es.Event](fold func(*S, E, At)) Reply[S] {
	return Refusal(func(s *S, e E, at At) es.Code { fold(s, e, at); return "" })
}

// Refusal is On for an event that refuses the command it answers, if fold gives a code.
func Refusal[S any, E es.Event](fold func(*S, E, At) es.Code) Reply[S] {
	var zero E
	return Reply[S]{eventType: zero.EventType(), fold: func(s *S, e es.Event, at At) es.Code { return fold(s, e.(E), at) }} //nolint:forcetypeassert // found by its wire name
}

// OfUndo says that a refusal is of the step's undo, whichever of its commands the event answers.
func (r Reply[S]) OfUndo() Reply[S] {
	r.undo = true
	return r
}

// Start is the event that starts an instance, if when says so, under the number it gives: "cancellation-O.1". 0: without one.
// A nil when is always, without a number.
func Start[S any, E es.Event](when func(E) (n int, ok bool), fold func(*S, E)) Reply[S] {
	r := On(func(s *S, e E, _ At) { fold(s, e) })
	r.starts = func(e es.Event) (int, bool) {
		if when == nil {
			return 0, true
		}
		return when(e.(E)) //nolint:forcetypeassert // found by its wire name
	}
	return r
}

// Commands are what a step asks for in a turn: one, or none.
type Commands []es.Command

// Send asks for a command.
func Send[S any, P es.State[S]](d es.Decision[S]) Commands { return Commands{es.Erase[S, P](d)} }

func (d Definition[S]) check() error {
	pivot, names := "", map[string]bool{}
	for _, s := range d.Steps {
		switch {
		case s.Name == "" || s.Do == nil && s.Undo == nil:
			return fmt.Errorf("saga %s: step %q needs a name and something to do or undo", d.Name, s.Name)
		case names[s.Name]:
			return fmt.Errorf("saga %s: two steps are called %q", d.Name, s.Name)
		case pivot != "" && s.Undo != nil:
			return fmt.Errorf("saga %s: step %q can be undone but follows the pivot %q", d.Name, s.Name, pivot)
		case s.Undo == nil && slices.ContainsFunc(s.On, func(r Reply[S]) bool { return r.undo }):
			return fmt.Errorf("saga %s: step %q has a reply of an undo and cannot be undone", d.Name, s.Name)
		case s.Undo == nil && s.Deadline != nil:
			return fmt.Errorf("saga %s: pivot %q cannot have a deadline: in doubt it could not be undone", d.Name, s.Name)
		case s.Undo == nil:
			pivot = s.Name
		}
		names[s.Name] = true
	}
	switch {
	case d.Name == "" || d.Version < 1:
		return fmt.Errorf("saga %q version %d: needs a name and a version from 1", d.Name, d.Version)
	case d.Start.starts == nil:
		return fmt.Errorf("saga %s: Start needs Start", d.Name)
	}
	return nil
}
