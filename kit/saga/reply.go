package saga

import (
	"slices"

	"github.com/daybook-dev/daybook/kit/es"
)

// Reply is how one type of event changes S.
type Reply[S any] struct {
	eventType string
	fold      func(*S, es.Event, At) es.Code // a code: the command was refused
	refuses   bool
	undo      bool // the code is of the step's undo
	numbers   func(es.Event) []int
	starts    func(es.Event) (n int, ok bool)
	numbered  bool // what it starts has a number
}

// At is where an event is recorded. A later event of a stream has the greater revision, in whatever order they come.
type At struct {
	Stream   es.StreamID
	Revision uint64
}

// On erases E once; the assertion inside cannot fail, because replies are found by E's wire name.
func On[S any, E es.Event](fold func(*S, E, At)) Reply[S] {
	var zero E
	return Reply[S]{eventType: zero.EventType(), fold: func(s *S, e es.Event, at At) es.Code {
		fold(s, e.(E), at) //nolint:forcetypeassert // found by its wire name
		return ""
	}}
}

// OnNumbered is On for an event that concerns some of the numbered instances of its key: "returning-O.2".
func OnNumbered[S any, E es.Event](to func(E) []int, fold func(*S, E, At)) Reply[S] {
	r := On(fold)
	r.numbers = func(e es.Event) []int { return to(e.(E)) } //nolint:forcetypeassert // likewise
	return r
}

// Refusal is On for an event that refuses the command it answers, if fold gives a code.
func Refusal[S any, E es.Event](fold func(*S, E, At) es.Code) Reply[S] {
	var zero E
	return Reply[S]{
		eventType: zero.EventType(), refuses: true,
		fold: func(s *S, e es.Event, at At) es.Code { return fold(s, e.(E), at) }, //nolint:forcetypeassert // likewise
	}
}

// OfUndo says that a refusal is of the step's undo, whichever of its commands the event answers.
func (r Reply[S]) OfUndo() Reply[S] {
	r.undo = true
	return r
}

// Start is the event that starts the one instance of its key, "placement-O", if when says so. A nil when is always.
func Start[S any, E es.Event](when func(E) bool, fold func(*S, E)) Reply[S] {
	r := On(func(s *S, e E, _ At) { fold(s, e) })
	r.starts = func(e es.Event) (int, bool) {
		return 0, when == nil || when(e.(E)) //nolint:forcetypeassert // likewise
	}
	return r
}

// StartNumbered is Start for instances of which a key has several: "cancellation-O.1". Numbers begin at 1.
func StartNumbered[S any, E es.Event](when func(E) (n int, ok bool), fold func(*S, E)) Reply[S] {
	r := On(func(s *S, e E, _ At) { fold(s, e) })
	r.numbered = true
	r.starts = func(e es.Event) (int, bool) {
		n, ok := when(e.(E)) //nolint:forcetypeassert // likewise
		return n, ok && n > 0
	}
	return r
}

// to gives the numbers of the instances that a named event concerns.
func (r Reply[S]) to(e es.Event) []int {
	if r.numbers == nil {
		return []int{0}
	}
	return r.numbers(e)
}

func (r Reply[S]) reaches(e es.Event, n int) bool { return slices.Contains(r.to(e), n) }
