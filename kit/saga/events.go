package saga

import (
	"encoding/json"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// The events of an instance's stream.
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
		Effect   es.UUID         `json:"effect,omitzero"` // of this instance, that it answers
		Stated   time.Time       `json:"stated,omitzero"` // business time, where one was stated
	}
	// Answered keeps an answer that left no event: what was wished stands already, or cannot be (Code).
	Answered struct {
		Effect  es.UUID `json:"effect"`
		Code    es.Code `json:"code,omitempty"`
		Message string  `json:"message,omitempty"`
	}
	// TimerDue keeps a timer that was due while it was awaited.
	TimerDue struct {
		Timer es.UUID `json:"timer"`
		Step  string  `json:"step"`
	}
	// Began is a step's beginning, or its next attempt. Its commands are asked for when it is folded, and sent not
	// before After.
	Began struct {
		Step     string    `json:"step"`
		Attempt  int       `json:"attempt"`
		For      string    `json:"for,omitempty"`
		At       time.Time `json:"at"`
		Deadline time.Time `json:"deadline,omitzero"`
		After    time.Time `json:"after,omitzero"`
	}
	// Extended moves a step's deadline.
	Extended struct {
		Step     string    `json:"step"`
		For      string    `json:"for"`
		At       time.Time `json:"at"`
		Deadline time.Time `json:"deadline,omitzero"`
	}
	// Done ends a step.
	Done struct {
		Step string `json:"step"`
	}
	// Failed is why undoing begins.
	Failed struct {
		Step string  `json:"step"`
		Code es.Code `json:"code"`
	}
	// Undoing is Began in the other direction.
	Undoing struct {
		Step    string    `json:"step"`
		Attempt int       `json:"attempt"`
		At      time.Time `json:"at"`
		After   time.Time `json:"after,omitzero"`
	}
	// Undone ends a step that was undone.
	Undone struct {
		Step string `json:"step"`
	}
	// Stuck says that the instance cannot go on by itself. Effect: the command that could not be carried out, if it
	// is one alone.
	Stuck struct {
		Step    string  `json:"step"`
		Effect  es.UUID `json:"effect,omitzero"`
		Code    es.Code `json:"code,omitempty"`
		Message string  `json:"message,omitempty"`
	}
	// Ended ends the instance, as far as is known.
	Ended struct {
		How Phase `json:"how"`
	}
)

func (Started) EventType() string  { return "saga.started" }
func (Noted) EventType() string    { return "saga.noted" }
func (Answered) EventType() string { return "saga.answered" }
func (TimerDue) EventType() string { return "saga.timer_due" }
func (Began) EventType() string    { return "saga.began" }
func (Extended) EventType() string { return "saga.extended" }
func (Done) EventType() string     { return "saga.done" }
func (Failed) EventType() string   { return "saga.failed" }
func (Undoing) EventType() string  { return "saga.undoing" }
func (Undone) EventType() string   { return "saga.undone" }
func (Stuck) EventType() string    { return "saga.stuck" }
func (Ended) EventType() string    { return "saga.ended" }

// Catalog is the engine's own events, beside events.Catalog.
func Catalog() []es.Definition {
	return []es.Definition{
		es.Define[Started](1), es.Define[Noted](1), es.Define[Answered](1), es.Define[TimerDue](1),
		es.Define[Began](1), es.Define[Extended](1), es.Define[Done](1), es.Define[Failed](1),
		es.Define[Undoing](1), es.Define[Undone](1), es.Define[Stuck](1), es.Define[Ended](1),
	}
}

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
