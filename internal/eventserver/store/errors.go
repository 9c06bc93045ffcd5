package store

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt: what is stored is not what was written. It is reported, never served.
	ErrCorrupt = errors.New("event store data is damaged")
	// ErrDeleted: the stream was ended by a tombstone.
	ErrDeleted = errors.New("stream is deleted")
	// ErrDeadline: the request's deadline passed before it was sequenced; nothing was written.
	ErrDeadline = errors.New("deadline passed before the append was taken up")
	// ErrFull: nothing was written, because the disk has too little space left.
	ErrFull = errors.New("disk is full: the event store is read-only until there is space")
	// ErrReadOnly: nothing was written, because the store failed earlier.
	ErrReadOnly = errors.New("event store is read-only after a failure")
	// ErrUnknown: the append may or may not stand; the store cannot tell before its disk works again.
	ErrUnknown = errors.New("outcome of append unknown")
	// ErrClosed: nothing was written, because the store is closing.
	ErrClosed = errors.New("event store is closed")
	// ErrInvalid: the request can never be accepted.
	ErrInvalid = errors.New("invalid append")
)

// WrongVersionError: the stream was at another revision than expected; nothing was written.
type WrongVersionError struct {
	Stream   string
	Expected Expected
	Current  int64 // -1: no stream
}

func (e *WrongVersionError) Error() string {
	return fmt.Sprintf("stream %q: expected version %d, actual version %d", e.Stream, e.Expected, e.Current)
}
