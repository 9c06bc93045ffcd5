package doctor

import (
	"context"
	"iter"

	"github.com/daybook-dev/daybook/kit/es"
)

// Check is what the doctor looks at of one domain. Functions that are nil are passed over. All are called by one goroutine at a time.
// Checks of one examination may share what they fold.
type Check struct {
	// Name says what is looked at. The report has it, with the time that Outside and Look took.
	Name string
	// Invariants are those that Look decides on, as "I4" or "I4 I5".
	Invariants string
	// Fold takes every event of the domain once, in the order of the log, before Look. It may report what no event may do. A panic is a
	// breach of I1.
	Fold func(e es.Recorded, r *Report)
	// Awaits names what is awaited for a key from outside of the system, an answer or a person's action; "" if nothing is. An instance of a
	// saga with this key may wait for it: else one that has not ended and owes nothing is a breach of I6. It is asked between events. Where no
	// check has it, an intent in a stream of the key that a reactor attends to is taken for it.
	Awaits func(key string) string
	// Outside reads what another system keeps. It is called twice, and the log is read to its end between the calls: the log knows what
	// the first answer has, and the second answer has what the log knows.
	Outside func(ctx context.Context, r *Report) error
	// Look is called when everything is read.
	Look func(s Seen, r *Report)
}

// Seen is what the doctor has seen of the system when checks look.
type Seen struct {
	// Resting tells whether every saga of a key has begun and ended. What holds at the end of a process holds for a key at rest.
	Resting func(key string) bool
	// Attended are the intents that a reactor attends to, by the ids of their events. nil: not known, because the system was not at rest.
	Attended map[es.UUID]bool
	// Rows gives the rows of a read model as the log makes them, up to its checkpoints. That the table has them is I3. There are none where
	// the read model is not served, or its version is not this program's.
	Rows func(readModel string) iter.Seq[Row]
}

// Row is a row of a read model.
type Row struct {
	Name     string // of the table and the row, as a Finding has it
	Key      string
	Revision uint64 // in its stream, of the event that changed it last
	Columns  map[string]any
}
