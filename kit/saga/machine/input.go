package machine

import (
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Input is what can happen to an instance.
type Input interface{ input() }

type (
	// Heard is an event of the instance's process, from Kafka or straight from a command's receipt.
	Heard struct {
		es.Recorded

		Data []byte // as stored, so that the instance's own stream suffices to rebuild it
	}
	// Answer is the end of an effect that left no event: accepted, or rejected with a code. Transient errors are
	// retried by the orchestrator and never come here.
	Answer struct {
		Effect  es.UUID
		Code    es.Code
		Message string
	}
	// Due says that a timer's time has come, and that the streams it waits on hold no answer.
	Due struct{ Timer es.UUID }
	// Broken says that an effect can never be carried out as it is, or not for a long time now.
	Broken struct {
		Effect  es.UUID
		Message string
	}
	// Resumed lets an instance decide what was left undecided while its definition differed.
	Resumed struct{}
)

func (Heard) input()   {}
func (Answer) input()  {}
func (Due) input()     {}
func (Broken) input()  {}
func (Resumed) input() {}

// HeardOf opens a stored event as an input.
func HeardOf(c *es.Catalog, r es.Record) (Heard, error) {
	e, err := c.Open(r)
	return Heard{e, r.Data}, err
}

// statedMargin is how far behind its recording an event's business time must lie to count as stated by somebody: the
// metadata keeps a stated time apart only where it was raised.
const statedMargin = time.Minute

// Stated is the business time that was stated with the event; zero: none was.
func (h Heard) Stated() time.Time {
	switch at := h.Meta.OccurredAt; {
	case !h.Meta.StatedAt.IsZero():
		return h.Meta.StatedAt
	case !at.IsZero() && h.Created.Sub(at) > statedMargin:
		return at
	}
	return time.Time{}
}

// Effect is a command the instance owes. Sending it twice does nothing, because ID is its command id.
type Effect struct {
	ID          es.UUID
	Step        string
	Item        string
	Attempt     int
	Direction   es.Direction
	Command     es.Command
	NotBefore   time.Time // zero: at once
	Causation   string    // the input that led here
	Correlation string
	Stated      time.Time // inherited business time
}

// Call is how the effect of an instance is sent.
func (f Effect) Call(instance es.StreamID) es.Call {
	return es.Call{
		ID: f.ID, Actor: es.Actor{ID: instance.Category, Kind: "saga"}, OccurredAt: f.Stated,
		Correlation: f.Correlation, Causation: f.Causation,
		Effect: es.EffectRef{ID: f.ID, Instance: instance.String()},
	}
}

// Timer is awaited by a step. When it is due the streams it waits on are read first: an answer there is fed instead.
type Timer struct {
	ID       es.UUID
	Step     string
	Reminder int       // which one of the step it is; 0: the deadline
	Since    time.Time // when the wait began
	Due      time.Time // if the system is up all the while
	Streams  []Target
	Hears    []es.StreamID // where what is awaited may be recorded too; all of it up to Due must have been heard
	Unsent   time.Duration // how long to put it off when one of its commands was only sent now
}

// Target is where an effect's answer would stand.
type Target struct {
	Effect es.UUID
	Stream es.StreamID
	From   uint64 // what is recorded before has been heard
}

// Status is what people want to know of an instance.
type Status struct {
	Saga     string
	Version  int
	Phase    Phase // "" = not started
	Step     string
	Awaits   bool      // the step sends nothing, and waits for an event
	Reminded int       // how often it was, of this wait
	Failure  es.Code   // why it is being, or was, undone
	Stuck    string    // why people must look at it; "" = they need not
	Until    time.Time // a completed one may be reopened by what is recorded until then; zero: it may not
	Changed  bool      // because the definition is not the one that was recorded; the instance keeps what it hears and sends nothing
}
