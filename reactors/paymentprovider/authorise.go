package paymentprovider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/reactor"
)

// memo is what is known of an intent between two tries. It may lag behind by one try after a crash; what relies on it
// is only ever put off by that.
type memo struct {
	Sent      int       `json:"sent,omitempty"`        // sends without an outcome
	Lost      int       `json:"lost,omitempty"`        // of these, when the provider was up and did not know the request
	Found     bool      `json:"found,omitempty"`       // the provider has it, without an outcome: sending again is idle
	LookOnly  time.Time `json:"look_only,omitzero"`    // since then nothing was sent, or ever will be
	NotFound  time.Time `json:"not_found_at,omitzero"` // the first look that counts
	WatchFrom time.Time `json:"watch_from,omitzero"`   // reported as not found, and looked up in case it turns up
	WatchGap  int64     `json:"watch_gap,omitempty"`   // seconds to the next look
}

func (r *Reactor) authorise(ctx context.Context, in intent, e events.PaymentAuthorisationRequested, m memo) (reactor.Next, error) {
	a := in.payment.Attempt(e.Attempt)
	switch {
	case a.State == payment.Declined && a.DeclineCode == notFoundCode && a.Contradiction == "":
		return r.watch(ctx, in, e, m)
	case !a.State.Open():
		return reactor.Done(), nil
	}
	req := Request{Key: in.key(""), OrderID: e.OrderID, Attempt: e.Attempt, Amount: e.Amount}

	look := func() (reactor.Next, error) {
		return r.answered(ctx, in, e, a, m, r.cfg.Provider.Lookup(ctx, req.Key))
	}
	if m.LookOnly.IsZero() && (a.State == payment.ActionRequired || m.Lost >= r.cfg.Repeats || in.now.Sub(in.Created) >= r.cfg.RepeatWithin) {
		m.LookOnly = in.now
	}
	if !m.LookOnly.IsZero() || m.Found {
		return look()
	}
	token, err := r.cfg.Opener.Unseal(ctx, e.Token)
	switch {
	case errors.Is(err, es.ErrErased), errors.Is(err, es.ErrNoKey): // it can no longer be sent: the provider knows whether it was sent
		m.LookOnly = in.now
		return look()
	case err != nil:
		return reactor.Next{}, fmt.Errorf("open the token of %s: %w", in.Stream, err)
	case token == "": // so it was never sent either
		return reactor.Done(), r.report(ctx, in, events.PaymentDeclined{OrderID: e.OrderID, Attempt: e.Attempt, Code: noTokenCode}, noTokenCode)
	}
	if m.Sent == 1 { // most lost answers were charges that stand: a question costs less than another time-out
		if known := r.cfg.Provider.Lookup(ctx, req.Key); known.Outcome != NotFound && known.Outcome != Unknown {
			return r.answered(ctx, in, e, a, m, known)
		}
	}
	req.Token = token
	answer := r.cfg.Provider.Authorise(ctx, req)
	if ctx.Err() != nil {
		return reactor.Next{}, ctx.Err()
	}
	if answer.Outcome == Unknown {
		if m.Sent++; m.Sent > 1 {
			if known := r.cfg.Provider.Lookup(ctx, req.Key); known.Outcome == NotFound {
				m.Lost++
			} else if known.Outcome != Unknown {
				answer = known
			}
		}
	}
	return r.answered(ctx, in, e, a, m, answer)
}

// answered acts on what the provider answered, to the request or to the question after it.
func (r *Reactor) answered(ctx context.Context, in intent, e events.PaymentAuthorisationRequested, a payment.Attempt, m memo, answer Answer) (reactor.Next, error) {
	if ctx.Err() != nil {
		return reactor.Next{}, ctx.Err()
	}
	m.Found = answer.Outcome == InProgress || answer.Outcome == ActionRequired || m.Found && answer.Outcome == Unknown
	switch answer.Outcome {
	case Approved:
		return reactor.Done(), r.authorised(ctx, in, e, answer)
	case Declined:
		return reactor.Done(), r.report(ctx, in, events.PaymentDeclined{
			OrderID: e.OrderID, Attempt: e.Attempt, Code: answer.Code, Detail: answer.Detail, Reference: answer.Reference,
		}, answer.Reference, answer.Code)
	case ActionRequired:
		m.NotFound = time.Time{}
		if a.State != payment.ActionRequired {
			err := r.report(ctx, in, events.PaymentActionRequired{
				OrderID: e.OrderID, Attempt: e.Attempt, Reference: answer.Reference,
				Action: events.PaymentAction{Type: "redirect", URL: answer.ActionURL},
			}, answer.Reference)
			if err != nil {
				return reactor.Next{}, err
			}
		}
		return reactor.AgainAfter(min(r.cfg.ActionPoll, time.Second<<min(in.task.Tries, 5)), m).Waiting(), nil
	}
	if a.State == payment.Pending {
		err := r.report(ctx, in, events.PaymentOutcomeUnknown{
			OrderID: e.OrderID, Attempt: e.Attempt, Operation: events.OperationAuthorise, Detail: answer.unknown(),
		})
		if err != nil {
			return reactor.Next{}, err
		}
	}
	switch {
	case answer.Outcome == NotFound && !m.LookOnly.IsZero():
		return r.notFound(ctx, in, e, m)
	case answer.Outcome == InProgress:
		m.NotFound = time.Time{}
	}
	return reactor.Again(m), nil
}

// notFound counts looks that found nothing.
func (r *Reactor) notFound(ctx context.Context, in intent, e events.PaymentAuthorisationRequested, m memo) (reactor.Next, error) {
	after := r.cfg.NotFoundAfter
	if until := m.LookOnly.Add(after); in.now.Before(until) {
		return r.by(in, until, m), nil
	}
	if m.NotFound.IsZero() {
		m.NotFound = in.now
	}
	if until := m.NotFound.Add(after); in.now.Before(until) {
		return r.by(in, until, m), nil
	}
	r.log.Warn("the provider knows nothing of an attempt, asked twice", "stream", in.Stream.String(), "attempt", e.Attempt, "key", in.key(""))
	err := r.report(ctx, in, events.PaymentDeclined{
		OrderID: e.OrderID, Attempt: e.Attempt, Code: notFoundCode, Detail: "the provider does not know of it",
	}, notFoundCode)
	return reactor.AgainAfter(after, memo{WatchFrom: in.now, WatchGap: int64(after / time.Second)}).Waiting(), err
}

// by comes again with the engine's backoff, but not after a moment at which something is to be decided.
func (r *Reactor) by(in intent, until time.Time, m memo) reactor.Next {
	left := until.Sub(in.now)
	if left < time.Second<<min(in.task.Tries, 5) {
		return reactor.AgainAfter(left, m)
	}
	return reactor.Again(m)
}

// watch looks for money of an attempt that was declined because it was not known. What turns up is reported: the payment
// keeps the contradiction and asks for a void.
func (r *Reactor) watch(ctx context.Context, in intent, e events.PaymentAuthorisationRequested, m memo) (reactor.Next, error) {
	if m.WatchFrom.IsZero() { // the memo was lost: Postgres was
		m.WatchFrom = in.now
	}
	answer := r.cfg.Provider.Lookup(ctx, in.key(""))
	switch {
	case ctx.Err() != nil:
		return reactor.Next{}, ctx.Err()
	case answer.Outcome == Approved:
		return reactor.Done(), r.authorised(ctx, in, e, answer)
	case answer.Outcome == Declined, in.now.Sub(m.WatchFrom) >= r.cfg.WatchFor:
		return reactor.Done(), nil
	}
	gap := max(time.Duration(m.WatchGap)*time.Second, time.Second)
	m.WatchGap = int64(min(2*gap, time.Hour) / time.Second)
	return reactor.AgainAfter(gap, m).Waiting(), nil
}

func (r *Reactor) authorised(ctx context.Context, in intent, e events.PaymentAuthorisationRequested, answer Answer) error {
	return r.report(ctx, in, events.PaymentAuthorised{
		OrderID: e.OrderID, Attempt: e.Attempt, Amount: answer.Amount, Reference: answer.Reference, ExpiresAt: answer.ExpiresAt,
	}, answer.Reference)
}

// unknown says for people why an outcome is.
func (a Answer) unknown() string {
	if a.Detail != "" {
		return a.Detail
	}
	return a.Outcome.String()
}
