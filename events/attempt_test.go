package events_test

import (
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

func TestWhatAFactMakesOfAnAttempt(t *testing.T) {
	t.Parallel()
	euros := func(n int64) events.Money { return events.Money{Amount: n, Currency: "EUR"} }
	states := []events.AttemptState{"", events.AttemptPending, events.AttemptUnknown, events.AttemptActionRequired, events.AttemptAuthorised,
		events.AttemptDeclined, events.AttemptExpired, events.AttemptVoided, events.AttemptBarred}
	always := func(s events.AttemptState) []events.AttemptState {
		all := make([]events.AttemptState, len(states))
		for i := range all {
			all[i] = s
		}
		return all
	}
	for _, c := range []struct {
		fact es.Event
		then []events.AttemptState // from each of the states
		held events.Money          // where 7 were held
	}{
		{events.PaymentAuthorisationRequested{Attempt: 1}, always(events.AttemptPending), euros(7)},
		{events.PaymentOutcomeUnknown{Attempt: 1, Operation: events.OperationAuthorise}, always(events.AttemptUnknown), euros(7)},
		{events.PaymentOutcomeUnknown{Attempt: 1, Operation: events.OperationVoid}, states, euros(7)},
		{events.PaymentActionRequired{Attempt: 1}, always(events.AttemptActionRequired), euros(7)},
		{events.PaymentAuthorised{Attempt: 1, Amount: euros(9)}, always(events.AttemptAuthorised), euros(9)},
		{events.PaymentDeclined{Attempt: 1}, always(events.AttemptDeclined), events.Money{}},
		{events.PaymentDeclined{Attempt: 1, Held: euros(8)}, always(events.AttemptDeclined), euros(8)},
		{events.PaymentAuthorisationExpired{Attempt: 1}, always(events.AttemptExpired), euros(0)},
		{events.PaymentVoidRequested{Attempt: 1}, states, euros(7)},
		{events.PaymentVoidFailed{Attempt: 1}, states, euros(7)},
		{events.PaymentVoidSucceeded{Attempt: 1}, []events.AttemptState{events.AttemptBarred, events.AttemptVoided, events.AttemptVoided, events.AttemptVoided,
			events.AttemptVoided, events.AttemptDeclined, events.AttemptExpired, events.AttemptVoided, events.AttemptBarred}, euros(0)},
		{events.PaymentOutcomeContradicted{Attempt: 1, Amount: euros(5)}, states, euros(5)},
		{events.PaymentOutcomeContradicted{Attempt: 1}, states, euros(7)},
	} {
		if n, ok := events.AttemptOf(c.fact); n != 1 || !ok {
			t.Errorf("%s is about attempt %d, not 1", c.fact.EventType(), n)
		}
		for i, from := range states {
			if got := (events.AttemptMoney{State: from, Held: euros(7)}).After(c.fact); got.State != c.then[i] || got.Held != c.held {
				t.Errorf("%s after %q: %+v, want %q and %v", c.fact.EventType(), from, got, c.then[i], c.held)
			}
		}
	}
	for _, d := range events.Catalog() { // a new fact about an attempt has a number
		about := strings.HasPrefix(d.Type, "payment.") && !strings.HasSuffix(d.Type, "recorded") && d.Type != "payment.initiated"
		e, err := catalog(t).Decode(d.Type, d.Version, []byte(`{"attempt":3}`))
		if err != nil {
			continue // it needs more than that
		}
		if got, ok := events.AttemptOf(e); ok != about || about && got != 3 {
			t.Errorf("%s is about attempt %d, %v", d.Type, got, ok)
		}
	}
}
