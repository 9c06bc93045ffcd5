package shop

import (
	"context"
	"errors"
	"fmt"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Refusal is the reason why a use case failed, in words for the caller.
type Refusal struct {
	Code   es.Code
	Detail string
	Faults []Fault
	Retry  int                 // seconds after which the caller may retry; 0: a retry does not help
	Quote  *order.Quote        // current quote, where the expected total differs
	Event  *es.UnreadableError // event that this program cannot read
}

// Fault names an invalid field: a JSON pointer into the input ("/lines/0/sku"), or the name of a parameter ("as_of").
type Fault struct{ Field, Code, Detail string }

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Code, r.Detail) }

// Refuse returns a refusal.
func Refuse(code es.Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// At adds a fault.
func (r *Refusal) At(field, code, format string, args ...any) *Refusal {
	r.Faults = append(r.Faults, Fault{field, code, fmt.Sprintf(format, args...)})
	return r
}

// after sets Retry.
func (r *Refusal) after(seconds int) *Refusal {
	r.Retry = seconds
	return r
}

// RefusalOf maps every error to a refusal. An error that callers must not see becomes "internal".
func RefusalOf(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	if r, ok := errors.AsType[*es.Rejection](err); ok {
		return Refuse(r.Code, "%s", r.Message)
	}
	if u, ok := errors.AsType[*es.UnreadableError](err); ok {
		return unreadable(u)
	}
	switch {
	case errors.Is(err, query.ErrNotYet):
		return Refuse("not_yet", "the read model has not come that far yet; ask again").after(1)
	case errors.Is(err, query.ErrRebuilding):
		return Refuse("rebuilding", "the read model is being rebuilt").after(5)
	case errors.Is(err, query.ErrParked):
		return Refuse("row_parked", "an event could not be applied to this row, and what came after it waits for an operator").after(60)
	case errors.Is(err, query.ErrBusy):
		return Refuse("unavailable", "the read model does not answer in time; ask again").after(1)
	case errors.Is(err, query.ErrNoHistory):
		return Refuse("malformed_parameter", "this is known only as it is now").At("as_of", "no_history", "cannot be asked here")
	case errors.Is(err, es.ErrKeyReused):
		return Refuse("idempotency_key_reused", "this Idempotency-Key was used with another request")
	case errors.Is(err, es.ErrPrecondition):
		return Refuse("precondition_failed", "it is at another revision than If-Match says")
	case errors.Is(err, es.ErrConflict):
		return Refuse("conflict", "others kept changing it at the same moment").after(1)
	case errors.Is(err, es.ErrNUL):
		return Refuse("validation", "text contains U+0000")
	case errors.Is(err, es.ErrEventTooLarge), errors.Is(err, es.ErrTooLarge):
		return Refuse("body_too_large", "what would be recorded is larger than 256 KiB")
	case errors.Is(err, es.ErrFuture):
		return Refuse("bad_time", "the time stated is more than 5 seconds in the future")
	case errors.Is(err, es.ErrUnavailable):
		return Refuse("unavailable", "the event store cannot be reached just now; nothing was recorded").after(1)
	case errors.Is(err, es.ErrUnknownOutcome), errors.Is(err, context.DeadlineExceeded):
		return Refuse("outcome_unknown", "it could not be learnt whether the request took effect; repeat it with the same key").after(1)
	case postgres.Unreachable(err):
		return Unreachable()
	}
	return Refuse("internal", "the request could not be carried out")
}

// Unreachable is the refusal for a server that does not answer. A command may have taken effect before.
func Unreachable() *Refusal {
	return Refuse("unavailable", "a part of the system cannot be reached just now; repeat the request, a command with the same key").after(1)
}

// unreadable names the event that this program cannot read. Nothing was recorded.
func unreadable(e *es.UnreadableError) *Refusal {
	code := es.Code("unreadable_event")
	if e.Newer {
		code = "newer_version"
	}
	where := ""
	if e.Stream != (es.StreamID{}) {
		where = fmt.Sprintf(" at revision %d of %s", e.Revision, e.Stream)
	}
	r := Refuse(code, "nothing was recorded: the event%s cannot be read: %s", where, e.What()).after(60)
	r.Event = e
	return r
}
