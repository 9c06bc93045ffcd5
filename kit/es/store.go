package es

import (
	"context"
	"errors"
	"iter"
)

// Proposed is an event about to be appended.
type Proposed struct {
	ID         UUID
	Type       string
	Data, Meta []byte
}

// Size is what the event weighs in an append, in bytes.
func (p Proposed) Size() int { return len(p.Data) + len(p.Meta) + len(p.Type) }

// Expected is the revision a stream must be at: the last one's number, or NoStream.
type Expected int64

const NoStream Expected = -1

// Store keeps streams. Implementations pass estest.TestStore.
type Store interface {
	// Append adds events to one stream, all or none, durable before it returns, and gives the position
	// of the last. ErrWrongRevision, ErrTooLarge and ErrUnavailable: nothing was written. ErrUnknownOutcome (and any
	// other context error): it may have been. The same ids at the same place again: the first answer again, also
	// when the stream has gone on since. No events at all are refused.
	Append(ctx context.Context, s StreamID, at Expected, events []Proposed) (position uint64, err error)
	// Read yields a stream's events from a revision on, in order, without holes, as the store's leader has them
	// when the reading starts. A stream that does not exist yields none. Records are the reader's to keep.
	Read(ctx context.Context, s StreamID, from uint64) iter.Seq2[Record, error]
}

// Log is the store read across streams: every event whose stream and type do not begin with '$', in the order
// of positions (Record.Recorded). All of them are audited; those that are relayed, healed and rebuilt are fewer (Record.Relayed).
type Log interface {
	// ReadAll yields the events after a position, up to the end of the log.
	ReadAll(ctx context.Context, after uint64) iter.Seq2[Record, error]
	// Follow yields them and goes on live; it ends with an error only, the context's at the latest. A zero Record
	// (Position 0) says that everything known so far has been yielded. After an error follow again
	// from the last position seen.
	Follow(ctx context.Context, after uint64) iter.Seq2[Record, error]
	// End is the position of the newest event, 0 if there is none.
	End(ctx context.Context) (uint64, error)
	// Incarnation identifies this history: a restored or replaced store has another.
	Incarnation(ctx context.Context) (string, error)
}

var (
	ErrWrongRevision  = errors.New("wrong expected revision")
	ErrUnknownOutcome = errors.New("outcome of append unknown")
	ErrTooLarge       = errors.New("append is larger than the store takes")
	ErrUnavailable    = errors.New("event store cannot be reached or takes no writes now") // nothing was written
)
