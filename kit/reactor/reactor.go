package reactor

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Reactor answers intents by calling the outside world. Calls of Attend come concurrently, for different intents.
type Reactor interface {
	// Name is that of its checkpoints and of its deployment stream.
	Name() string
	// Intents are the types of the events that ask it for something.
	Intents() []string
	// Wakes are types of events that make every open intent of their stream due at once.
	Wakes() []string
	// Attend does what an intent needs now: load its stream; if there is an outcome, Done; else call, record
	// the outcome as an event, and Done; or say when to come back. After an error it is called again with
	// backoff and the memo it had. When ctx ends the intent is another owner's.
	Attend(ctx context.Context, t Task) (Next, error)
}

// Task is an open intent.
type Task struct {
	ID       es.UUID // of the event
	Stream   es.StreamID
	Revision uint64
	Recorded time.Time       // when the intent was
	Opened   time.Time       // when its row was made: later, if Postgres was lost or the reactors were away
	Tries    int             // so far
	Left     json.RawMessage // by the last Again; see Memo
}

// Memo reads what the last Again left, and leaves into alone if there is nothing.
func (t Task) Memo(into any) error {
	if len(t.Left) == 0 {
		return nil
	}
	if err := json.Unmarshal(t.Left, into); err != nil {
		return fmt.Errorf("memo of intent %s: %w", t.ID, err)
	}
	return nil
}

// Next says what becomes of an intent: Done, Again, AgainAfter.
type Next struct {
	Closed bool          // its outcome is recorded
	After  time.Duration // until the next try; negative: the engine's backoff
	Memo   any           // kept with it, durably before the next try
	Waits  bool          // see Waiting
}

// Done closes the intent: its outcome is recorded.
func Done() Next { return Next{Closed: true} }

// Again keeps the intent open, to be attended to after the engine's backoff. memo is kept with it, durably before the next try.
func Again(memo any) Next { return Next{After: -1, Memo: memo} }

// AgainAfter is Again with a time of its own.
func AgainAfter(d time.Duration, memo any) Next { return Next{After: max(d, 0), Memo: memo} }

// Waiting says that the intent is open because something outside has its own time, as a buyer who has to act: it is not overdue.
func (n Next) Waiting() Next {
	n.Waits = true
	return n
}
