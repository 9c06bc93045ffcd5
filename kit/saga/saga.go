package saga

import (
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// Definition is a saga over state S, read from top to bottom as a table.
// S is the fold of what the saga heard; nothing else may change it.
type Definition[S any] struct {
	Name    string // category of its instances' streams: "placement"
	Version int    // a running instance keeps the one it began with
	Start   Reply[S]
	On      []Reply[S]      // what concerns the whole, with or without an effect: a cancellation
	Abort   func(S) es.Code // stop and undo, unless the pivot has begun; "" = go on
	Steps   []Step[S]
	Reopen  Reopen[S] // zero: what has ended stays as it is
}

// Saga is any Definition, for lists of them: []saga.Saga{Placement, Cancellation}.
type Saga interface {
	Machine() (machine.Machine, error)
}

// Step is one row. Every function but On and Late is a question about S: the answers may come in any order.
type Step[S any] struct {
	Name         string
	Items        func(S) []string       // what it does one by one: lines, shipments; more may come while it runs. nil: one, called ""
	Do           func(S, Turn) Commands // for an item; none at all = the item is passed over. nil: it sends nothing, and awaits Done
	Undo         func(S, Turn) Commands // for an item. nil: cannot be undone; with Do it is the pivot or follows it
	On           []Reply[S]             // the answers to its effects, at any time, even after the end; of a step that awaits: what it waits for
	Done, Undone func(S, Turn) bool     // of an item; false while it is not known. nil: when its command was answered
	Refused      func(S, Turn) es.Code  // "" = not, or not known. Beside it the refusal of a command of Do, once all are answered
	Insists      bool                   // refused, it is tried again as a new attempt, never undone
	Deadline     func(S) Deadline       // of Do, or of the wait; beyond it the step is in doubt, and undone; from the pivot on Late. nil: none
	Late         func(*S)               // of a step that awaits after the pivot: what is assumed beyond the deadline. nil: an alert
}

// Turn is what a step is asked about.
type Turn struct {
	Item    string
	Attempt int       // from 1; of Do, also where Undo is asked: the one to be undone
	At      time.Time // recorded time at which the attempt began, of Do or of Undo
	Why     es.Code   // why it is undone
}

// Deadline is how long a step waits. One with another For takes the place of the one before, and counts from when it is seen.
type Deadline struct {
	For    string          // what is waited for beyond the answers: a person, mostly
	Within time.Duration   // 0: without end
	Remind []time.Duration // after each of these, in order, it is recorded and shown that the step still waits
	Code   es.Code         // why the step failed then; "" = timed_out
}

// Reopen is what leads a completed instance back into its steps: On is heard at any time, as Definition.On is, and reopens the
// instance if it was recorded within a time after the end.
type Reopen[S any] struct {
	On     []Reply[S]
	Within time.Duration
}

// Commands are what a step asks for in a turn: one, or none.
type Commands []es.Command

// Send asks for a command.
func Send[S any, P es.State[S]](d es.Decision[S]) Commands { return Commands{es.Erase[S, P](d)} }
