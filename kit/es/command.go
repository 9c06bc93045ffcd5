package es

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// State constrains *S, where S is what a stream folds to. It is all the kernel knows of an aggregate.
// The zero S is the state of a stream that does not exist.
type State[S any] interface {
	*S
	Category() string // of its streams: "order"
	// Evolve folds one event of the category into S. It never fails, and may change S in place: the
	// kernel owns S. An event it does not know must reach Unknown, so that none is skipped in silence.
	Evolve(Event)
}

// Weigher is implemented by a *S that keeps far less than its events say.
type Weigher interface {
	Weight() int // bytes, about
}

// Decision is a command bound to the state it is decided on. Commands hold what the caller said, no more.
// A command on a numbered stream ("shipment-O.1") also has a method N() int.
type Decision[S any] interface {
	CommandType() string // stable wire name: "order.cancel"
	Key() string         // of the stream it is decided on
	// Decide is pure: no clock, no IO; it must not change what s points to. No events means nothing to do.
	Decide(s S) ([]Event, error)
}

// Facts reads well at the end of Decide.
func Facts(events ...Event) ([]Event, error) { return events, nil }

// Nothing says that the command has taken effect already.
func Nothing() ([]Event, error) { return nil, nil }

// Reject ends Decide with a business refusal. The code is part of the API; the text may change.
func Reject(code Code, format string, args ...any) ([]Event, error) {
	return nil, &Rejection{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Code is a stable name of a refusal, "order_not_found". Each package of commands declares its own.
type Code string

// Rejection is the error of a command that the business refuses.
type Rejection struct {
	Code    Code
	Message string
}

func (r *Rejection) Error() string { return fmt.Sprintf("%s: %s", r.Code, r.Message) }

// Rejected gives err's code, or "".
func Rejected(err error) Code {
	if r, ok := errors.AsType[*Rejection](err); ok {
		return r.Code
	}
	return ""
}

// Unknown ends the type switch of every Evolve. The kernel turns it into an error of that one stream.
func Unknown(e Event) { panic(UnknownEvent(e.EventType())) }

// UnknownEvent is what Unknown panics with.
type UnknownEvent string

func (u UnknownEvent) Error() string { return "no case for event " + string(u) }

// Call is who asks for a command, and under which guarantees.
type Call struct {
	ID          UUID       // CommandID or EffectID; the command takes effect once per ID and stream. Zero: a random one
	Digest      []byte     // of what the caller sent, not of the command: prices may have moved since. Empty: not compared
	IfMatch     *Condition // decide on a stream that is so or fail with ErrPrecondition, without retry; nil: on any
	Actor       Actor
	Reason      Sealed
	OccurredAt  time.Time // the stated business time; zero: now
	Correlation string    // the business process; empty: the command's own stream
	Causation   string    // the event or command that led here
	Effect      EffectRef // the saga effect that the events will answer
	Traceparent string
}

// Condition is what a stream must be for a command to be decided on it (RFC 9110's If-Match): at one of some revisions, or at any.
// One that does not exist is at none.
type Condition struct {
	Any       bool
	Revisions []uint64
}

// At is the condition that a stream is at a revision.
func At(revision uint64) *Condition { return &Condition{Revisions: []uint64{revision}} }

// holds tells whether a stream is so whose next event has the revision next.
func (c *Condition) holds(next uint64) bool {
	return c == nil || next > 0 && (c.Any || slices.Contains(c.Revisions, next-1))
}

// Receipt is the answer to a command, and the answer again to its repeat.
type Receipt struct {
	Stream   StreamID
	Revision uint64   // of the stream after the command: the ETag
	Position uint64   // at least that of its last event: Daybook-Position
	Events   []UUID   // what it recorded; none if there was nothing to do
	Records  []Record // the same, whole; none on a replay. Position is an upper bound, Created the process' clock
	Replayed bool     // this ID had been decided before
}

// at is the receipt of events that were found at a position.
func (r Receipt) at(position uint64) Receipt {
	r.Position = position
	for i := range r.Records {
		r.Records[i].Position = position
	}
	return r
}

var (
	ErrPrecondition  = errors.New("stream is at another revision")                    // If-Match failed
	ErrKeyReused     = errors.New("idempotency key was used for another request")     // same ID, other digest
	ErrConflict      = errors.New("stream kept changing")                             // retries used up
	ErrEventTooLarge = errors.New("event is larger than 256 KiB")                     // data and metadata together
	ErrFuture        = errors.New("stated time is more than 5 seconds in the future") // Call.OccurredAt
	ErrNUL           = errors.New("text contains U+0000")                             // Postgres could not keep it
)

// Command is a Decision of any state: what a saga sends. Only Erase makes one.
type Command interface {
	CommandType() string
	Stream() StreamID
	Decision() any // the command's own struct, for printing
	handle(context.Context, *Handler, Call) (Receipt, error)
}

// Erase forgets S. The state type travels inside, so no handler has to be found for it later.
func Erase[S any, P State[S]](d Decision[S]) Command { return erased[S, P]{d} }

type erased[S any, P State[S]] struct{ d Decision[S] }

func (c erased[S, P]) CommandType() string { return c.d.CommandType() }
func (c erased[S, P]) Decision() any       { return c.d }
func (c erased[S, P]) Stream() StreamID    { return streamOf[S, P](c.d) }
func (c erased[S, P]) handle(ctx context.Context, h *Handler, call Call) (Receipt, error) {
	return Handle[S, P](ctx, h, c.d, call)
}

func streamOf[S any, P State[S]](d Decision[S]) StreamID {
	s := StreamID{Category: P(nil).Category(), Key: d.Key()}
	if numbered, ok := d.(interface{ N() int }); ok {
		s.N = numbered.N()
	}
	return s
}
