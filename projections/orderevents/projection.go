// Package orderevents answers: what happened to this order, when, and by whom? A row per event of the order and its
// payment, by position.
package orderevents

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
)

// Row is one event. The row's own position is the event's.
type Row struct {
	Stream         string     `db:"stream"`
	StreamRevision int64      `db:"stream_revision"`
	Type           string     `db:"type"`
	At             time.Time  `db:"at"`          // business time
	RecordedAt     time.Time  `db:"recorded_at"` // the store's
	ActorKind      string     `db:"actor_kind"`
	ActorID        string     `db:"actor_id"`
	Command        string     `db:"command"`
	CausationID    string     `db:"causation_id"`
	Reason         *es.Sealed `db:"reason"`
	Summary        string     `db:"summary"` // for people; never personal
}

//go:embed schema.sql
var schema string

// Projection keeps a row per event. Bump Version to rebuild.
var Projection = projection.Table[Row]{
	Name: "order_events", Version: 1, Stream: "order", History: true, Once: true, Schema: schema,
	On: []projection.Fold[Row]{
		shown(placed),
		shown(func(e events.OrderConfirmed) string { return recorded("confirmed", e.Recorded) }),
		shown(func(e events.OrderConfirmationRefused) string { return "not confirmed: " + e.Code }),
		shown(rejected),
		shown(func(e events.OrderCancelRequested) string { return "cancellation requested, driven by " + e.Driver }),
		shown(func(e events.OrderCancelRefused) string { return "not cancelled: " + e.Code }),
		shown(func(e events.OrderCancelled) string { return units(e.Lines) + " cancelled" }),
		shown(func(e events.OrderLinesShipped) string { return recorded(units(e.Lines)+" shipped", e.Recorded) }),
		shown(func(e events.OrderLinesDelivered) string { return recorded(units(e.Lines)+" delivered", e.Recorded) }),
		shown(returned),
		shown(func(events.OrderClosed) string { return "closed" }),

		shown(func(e events.PaymentInitiated) string { return fmt.Sprintf("%s to pay", e.Total) }),
		shown(func(e events.PaymentAuthorisationRequested) string {
			return fmt.Sprintf("authorisation of %s requested, attempt %d", e.Amount, e.Attempt)
		}),
		shown(func(e events.PaymentAuthorised) string { return fmt.Sprintf("%s authorised", e.Amount) }),
		shown(func(e events.PaymentDeclined) string { return "declined: " + e.Code }),
		shown(func(e events.PaymentActionRequired) string { return "action required: " + e.Action.Type }),
		shown(func(e events.PaymentAuthorisationExpired) string {
			return fmt.Sprintf("authorisation of %s expired", e.Amount)
		}),
		shown(func(e events.PaymentVoidRequested) string {
			return fmt.Sprintf("void of attempt %d requested", e.Attempt)
		}),
		shown(voided),
		shown(func(e events.PaymentVoidFailed) string { return "void failed: " + e.Code }),
		shown(func(e events.PaymentOutcomeUnknown) string { return e.Operation + ": no answer from the provider" }),
		shown(func(e events.PaymentOutcomeContradicted) string {
			return fmt.Sprintf("%s reported after %s", e.Reported, e.State)
		}),
		shown(func(e events.PaymentRecorded) string { return fmt.Sprintf("%s received: %s", e.Amount, e.Method) }),
		shown(func(e events.PaymentRefundRecorded) string {
			return fmt.Sprintf("%s given back: %s", e.Amount, e.Method)
		}),
	},
}

// shown keeps an event with the words for it.
func shown[E es.Event](summary func(E) string) projection.Fold[Row] {
	return projection.OnKey(
		func(_ E, at es.Recorded) string { return suffix(at.Position) },
		func(r *Row, e E, at es.Recorded) {
			*r = Row{
				Stream: at.Stream.String(), StreamRevision: int64(at.Revision), Type: e.EventType(), //nolint:gosec // revisions stay below 2^63
				At: at.OccurredAt(), RecordedAt: at.Created, ActorKind: at.Meta.Actor.Kind, ActorID: at.Meta.Actor.ID,
				Command: at.Meta.Command.Name, CausationID: at.Meta.Causation, Summary: summary(e),
			}
			if !at.Meta.Reason.IsZero() {
				r.Reason = &at.Meta.Reason
			}
		})
}

// suffix orders as the positions do.
func suffix(position uint64) string { return fmt.Sprintf("%020d", position) }

// most is how many lines a summary names.
const most = 3

func placed(e events.OrderPlaced) string {
	var s strings.Builder
	for i, l := range e.Lines {
		if i == most {
			fmt.Fprintf(&s, "%d more lines, ", len(e.Lines)-most)
			break
		}
		fmt.Fprintf(&s, "%d × %s, ", l.Quantity, l.SKU)
	}
	return recorded(s.String()+e.Due().String(), e.Recorded)
}

func rejected(e events.OrderRejected) string {
	s := "rejected: " + e.Code
	if e.DeclineCode != "" {
		s += ", " + e.DeclineCode
	}
	return s
}

func returned(e events.OrderLinesReturned) string {
	n := 0
	for _, l := range e.Lines {
		n += l.Quantity
	}
	return recorded(plural(n)+" returned by "+e.ReturnID, e.Recorded)
}

func voided(e events.PaymentVoidSucceeded) string {
	if e.Amount.Amount == 0 {
		return "nothing to void"
	}
	return fmt.Sprintf("%s voided", e.Amount)
}

func units(lines []events.LineQuantity) string {
	n := 0
	for _, l := range lines {
		n += l.Quantity
	}
	return plural(n)
}

func plural(n int) string {
	if n == 1 {
		return "1 unit"
	}
	return fmt.Sprintf("%d units", n)
}

func recorded(s string, is bool) string {
	if is {
		return s + " (recorded)"
	}
	return s
}
