package saga

import (
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Definition is a saga over state S, read from top to bottom as the table in domain.md.
// S is the fold of what the saga heard; nothing else may change it.
type Definition[S any] struct {
	Name    string // category of its instances' streams: "placement"
	Version int    // a running instance keeps the one it began with
	Start   Reply[S]
	On      []Reply[S]          // what concerns the whole, with or without an effect: a cancellation
	Abort   func(S) es.Code     // stop and undo, unless the pivot has begun; "" = go on
	Failed  func(*S, es.Code)   // tells S why undoing began
	Clock   func(*S, time.Time) // tells S the recorded time at which a step begins or is undone, for its commands
	Steps   []Step[S]
}

// Step is one row. Every function but On is a question about S: the answers may come in any order.
type Step[S any] struct {
	Name     string
	Do       func(S) Commands // asked once, when the step begins; none = the step is passed over
	On       []Reply[S]       // the answers to its effects, at any time, even after the end
	Done     func(S) bool     // nil: when every command of Do was answered
	Refused  func(S) es.Code  // "" = not, or not known. Beside it the refusal of a command of Do, once all are answered
	Insists  bool             // refused, it is tried again as a new attempt, never undone
	Undo     func(S) Commands // nil: cannot be undone, it is the pivot or follows it
	Undone   func(S) bool     // false while it is not known; nil: when every command of Undo was answered
	Deadline time.Duration    // for Do; beyond it the step is in doubt, and undone. 0 = none
	Waits    func(S) Wait     // from when it first says so, takes Deadline's place
	TimedOut es.Code          // why the step failed then; "" = timed_out
}

// Wait says what a step waits for beyond its Deadline: a person, mostly.
type Wait struct {
	For    string // "" = Deadline stands
	Within time.Duration
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
func On[S any, E es.Event](fold func(*S, E)) Reply[S] {
	return reply(func(s *S, e E, _ At) es.Code { fold(s, e); return "" })
}

// OnAt is On for folds that must know which of two events is the later one.
func OnAt[S any, E es.Event](fold func(*S, E, At)) Reply[S] {
	return reply(func(s *S, e E, at At) es.Code { fold(s, e, at); return "" })
}

// Refusal is OnAt for an event that refuses the command it answers, if fold gives a code.
func Refusal[S any, E es.Event](fold func(*S, E, At) es.Code) Reply[S] { return reply(fold) }

// UndoRefusal is OnAt for an event that says, if fold gives a code, that the step could not be undone, whichever of its
// commands it answers.
func UndoRefusal[S any, E es.Event](fold func(*S, E, At) es.Code) Reply[S] {
	r := reply(fold)
	r.undo = true
	return r
}

// Start is the event that starts an instance.
func Start[S any, E es.Event](fold func(*S, E)) Reply[S] {
	return StartOn(func(E) bool { return true }, fold)
}

// StartOn is Start where the event starts an instance only sometimes.
func StartOn[S any, E es.Event](condition func(E) bool, fold func(*S, E)) Reply[S] {
	return StartNumbered(func(e E) (int, bool) { return 0, condition(e) }, fold)
}

// StartNumbered is StartOn for a saga with several instances per key: "cancellation-O.1". number is from 1.
func StartNumbered[S any, E es.Event](number func(E) (n int, ok bool), fold func(*S, E)) Reply[S] {
	r := On(fold)
	r.starts = func(e es.Event) (int, bool) { return number(e.(E)) } //nolint:forcetypeassert // found by its wire name
	return r
}

func reply[S any, E es.Event](fold func(*S, E, At) es.Code) Reply[S] {
	var zero E
	return Reply[S]{eventType: zero.EventType(), fold: func(s *S, e es.Event, at At) es.Code { return fold(s, e.(E), at) }} //nolint:forcetypeassert // found by its wire name
}

// Commands are what a step asks for, each with the item it is about.
type Commands []Asked

// Asked is one command of a step.
type Asked struct {
	Item    string // part of the effect id: a line, a shipment; "" where there is one only
	Command es.Command
}

// Send asks for one command.
func Send[S any, P es.State[S]](d es.Decision[S]) Commands {
	return Commands{{Command: es.Erase[S, P](d)}}
}

// Each asks for one command per item: reserve each line. name tells the items apart, whatever their order.
func Each[T, S any, P es.State[S], D es.Decision[S]](items []T, name func(T) string, ask func(T) D) (out Commands) {
	for _, i := range items {
		out = append(out, Asked{name(i), es.Erase[S, P](ask(i))})
	}
	return out
}

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
		case s.Undo == nil && (s.Deadline > 0 || s.Waits != nil):
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
		return fmt.Errorf("saga %s: Start needs Start, StartOn or StartNumbered", d.Name)
	}
	return nil
}
