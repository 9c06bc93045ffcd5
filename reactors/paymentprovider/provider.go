package paymentprovider

import (
	"context"
	"time"

	"github.com/daybook-dev/daybook/events"
)

// Provider is the port to a payment provider. Each call is one try: nothing below this interface repeats it, the
// reactor alone does. A call that was never answered may have taken effect; the same request under the same key
// takes effect once, for as long as the provider remembers keys (a day).
type Provider interface {
	// Authorise holds an amount on the card that Token stands for.
	Authorise(ctx context.Context, r Request) Answer
	// Void gives back what the charge Reference still holds, and cancels an action it waits for. A charge that
	// holds nothing is approved, of amount 0.
	Void(ctx context.Context, r Request) Answer
	// Capture takes a part of what is held, or all.
	Capture(ctx context.Context, r Request) Answer
	// Refund gives back a part of what was captured, or all.
	Refund(ctx context.Context, r Request) Answer
	// Lookup gives what became of the request that was sent with a key, as it is now. Outcome NotFound: the
	// provider answers, and knows of none.
	Lookup(ctx context.Context, key string) Answer
}

// Request is what is sent to the provider. Key goes there twice: as the idempotency key, which it forgets, and in the
// metadata, by which it can always be looked up.
type Request struct {
	Key       string
	OrderID   string
	Attempt   int
	Amount    events.Money // not for a void
	Token     string       // for an authorisation
	Reference string       // of the charge, for all others
}

// Outcome of a call. Only Approved, Declined and, for the moment, ActionRequired are known; the rest is in doubt.
type Outcome int

// Outcomes.
const (
	Unknown        Outcome = iota // no answer, or none that says what happened
	InProgress                    // the provider is at it, or will be
	NotFound                      // of a lookup
	ActionRequired                // the buyer has to do something first
	Approved
	Declined
)

func (o Outcome) String() string {
	return [...]string{"unknown", "in progress", "not found", "action required", "approved", "declined"}[o]
}

// Answer is what a call came to. The zero Answer is Unknown.
type Answer struct {
	Outcome   Outcome
	Reference string       // the provider's own, of the charge
	Amount    events.Money // that the provider held or moved
	Code      string       // of a decline
	Detail    string       // for people: why it is unknown, or was declined
	ActionURL string
	ExpiresAt time.Time // of an authorisation
}
