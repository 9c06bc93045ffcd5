package machine

import (
	"encoding/json"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Stepped is the only event of an instance's stream: the inputs of one append, in order, each with what was decided.
type Stepped struct {
	Taken []Taken `json:"taken"`
	// Due is when the instance has something to send or a timer comes; absent: it owes nothing.
	Due time.Time `json:"due,omitzero"`
}

// Taken is one input and the decisions it led to. It has one of Event, Answer and Timer, or none: a command that cannot be
// carried out is a decision alone, as is what was left undecided while the definition differed.
type Taken struct {
	Started   *Started   `json:"started,omitempty"` // by this input
	Event     *Noted     `json:"event,omitempty"`
	Answer    *Answered  `json:"answer,omitempty"`
	Timer     *TimerDue  `json:"timer,omitempty"`
	Decisions []Decision `json:"decisions,omitempty"`
}

type (
	// Started begins the stream.
	Started struct {
		Saga        string `json:"saga"`
		Version     int    `json:"version"`
		Correlation string `json:"correlation,omitempty"` // the business process
	}
	// Noted keeps an event that was heard, whole.
	Noted struct {
		Type     string          `json:"type"`
		Schema   int             `json:"schema"`
		Data     json.RawMessage `json:"data"`
		Stream   string          `json:"stream"`
		Revision uint64          `json:"revision"`
		ID       es.UUID         `json:"id"`
		Effect   es.UUID         `json:"effect,omitzero"`   // of this instance, that it answers
		Stated   time.Time       `json:"stated,omitzero"`   // business time, where one was stated
		Recorded time.Time       `json:"recorded,omitzero"` // of one that reopens
	}
	// Answered keeps an answer that left no event: there was nothing to do, or it was rejected (Code).
	Answered struct {
		Effect  es.UUID `json:"effect"`
		Code    es.Code `json:"code,omitempty"`
		Message string  `json:"message,omitempty"`
	}
	// TimerDue keeps a timer that was due while it was awaited.
	TimerDue struct {
		Timer    es.UUID `json:"timer"`
		Step     string  `json:"step"`
		Reminder int     `json:"reminder,omitempty"` // 0: the deadline
	}
)

// Kind of a decision.
type Kind string

// The decisions.
const (
	Began    Kind = "began"    // a step, or another attempt at it or at one Item, with its commands; they are sent not before After
	Extended Kind = "extended" // the deadline of a step moves
	Done     Kind = "done"     // a step has ended
	Assumed  Kind = "assumed"  // a step has ended as its Late assumes
	Late     Kind = "late"     // a step is beyond its deadline and goes on waiting; people are alerted
	Failed   Kind = "failed"   // why undoing begins
	Undoing  Kind = "undoing"  // Began in the other direction
	Undone   Kind = "undone"   // a step has been undone
	Stuck    Kind = "stuck"    // the instance cannot go on by itself; Effect: the one command that cannot be carried out
	Ended    Kind = "ended"    // the instance, as far as is known; it may be reopened by what is recorded up to Until
	Reopened Kind = "reopened" // the instance begins its steps anew
)

// Decision is one change of an instance. Its Kind says which of the fields it has.
type Decision struct {
	Kind     Kind        `json:"kind,omitempty"`
	Step     string      `json:"step,omitempty"`
	Item     string      `json:"item,omitempty"`
	Attempt  int         `json:"attempt,omitempty"`
	For      string      `json:"for,omitempty"`
	At       time.Time   `json:"at,omitzero"`
	Deadline time.Time   `json:"deadline,omitzero"`
	Remind   []time.Time `json:"remind,omitempty"`
	Until    time.Time   `json:"until,omitzero"`
	After    time.Time   `json:"after,omitzero"`
	Effect   es.UUID     `json:"effect,omitzero"`
	Code     es.Code     `json:"code,omitempty"`
	Message  string      `json:"message,omitempty"`
	How      Phase       `json:"how,omitempty"`
	Commands []Command   `json:"commands,omitempty"`
}

// Command is a command of a step, which the definition must give again.
type Command struct {
	Item   string `json:"item,omitempty"`
	Type   string `json:"type"`
	Digest string `json:"digest"` // of type, stream and content
}

// EventType implements es.Event.
func (Stepped) EventType() string { return "saga.stepped" }

// Started is how the instance was begun; nil: not by this event.
func (s Stepped) Started() *Started {
	if len(s.Taken) == 0 {
		return nil
	}
	return s.Taken[0].Started
}

// Status is what an event says of its instance, given what those before it said. Of the step it says nothing, nor why it is stuck.
func (s Stepped) Status(was Status) Status {
	if b := s.Started(); b != nil {
		was.Saga, was.Version, was.Phase = b.Saga, b.Version, Doing
	}
	for _, t := range s.Taken {
		for _, d := range t.Decisions {
			switch d.Kind {
			case Failed:
				was.Phase, was.Failure = Undo, d.Code
			case Undoing:
				was.Phase = Undo
			case Reopened:
				was.Phase, was.Until = Doing, time.Time{}
			case Ended:
				was.Phase, was.Until = d.How, d.Until
			case Began, Extended, Done, Assumed, Late, Undone, Stuck:
			}
		}
	}
	return was
}

// Catalog is the engine's own event, beside events.Catalog.
func Catalog() []es.Definition { return []es.Definition{es.DefineSaga[Stepped](1)} }

// Why an instance is stuck by itself.
const (
	DefinitionChanged         = "definition_changed" // its definition gives other commands than were recorded
	ReopenedTooLate   es.Code = "reopened_too_late"  // it heard a reopening event after the time for it
)

// Phase is how far an instance is.
type Phase string

// An instance is Doing, or Undo-ing what it did, until it has ended.
const (
	Doing       Phase = "doing"
	Undo        Phase = "undoing"
	Completed   Phase = "completed"
	Compensated Phase = "compensated"
)

// Over tells whether the instance has ended; it still takes inputs.
func (p Phase) Over() bool { return p == Completed || p == Compensated }

// MaxAppend bounds the bytes of one append.
const MaxAppend = 1 << 20

// Split makes the events of what was taken, in order. Each is an append of its own; together they are more than one only where one
// would be larger than most. due is of the last; those before it say that something is owed now.
func Split(taken []Taken, most int, now, due time.Time) (out []Stepped, err error) {
	size := 0
	for _, t := range taken {
		b, err := json.Marshal(t)
		if err != nil {
			return nil, err
		}
		if len(out) == 0 || size+len(b)+1 > most {
			out, size = append(out, Stepped{Due: now}), overhead
		}
		last := &out[len(out)-1]
		last.Taken, size = append(last.Taken, t), size+len(b)+1
	}
	if len(out) > 0 {
		out[len(out)-1].Due = due
	}
	return out, nil
}

const overhead = 1 << 10 // of an event beside what was taken
