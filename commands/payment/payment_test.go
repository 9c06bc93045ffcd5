package payment_test

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/estest"
)

var given = estest.Given[payment.Payment]

func gbp(a int64) events.Money { return events.Money{Amount: a, Currency: "GBP"} }

var (
	token     = es.Sealed{Subject: "guest-o1", Ciphertext: []byte("tok_approve")}
	expiry    = time.Date(2026, 3, 8, 0, 0, 0, 0, time.UTC)
	initiated = events.PaymentInitiated{OrderID: "o1", Total: gbp(500)}
	asked     = events.PaymentAuthorisationRequested{OrderID: "o1", Attempt: 1, Amount: gbp(500), Token: token}
	unknown   = events.PaymentOutcomeUnknown{OrderID: "o1", Attempt: 1, Operation: "authorise"}
	action    = events.PaymentActionRequired{OrderID: "o1", Attempt: 1, Reference: "ch_1", Action: events.PaymentAction{Type: "redirect", URL: "https://bank/1"}}
	held      = events.PaymentAuthorised{OrderID: "o1", Attempt: 1, Amount: gbp(500), Reference: "ch_1", ExpiresAt: expiry}
	declined  = events.PaymentDeclined{OrderID: "o1", Attempt: 1, Code: "insufficient_funds", Reference: "ch_1"}
	expired   = events.PaymentAuthorisationExpired{OrderID: "o1", Attempt: 1, Amount: gbp(500), Reference: "ch_1"}
	toVoid    = events.PaymentVoidRequested{OrderID: "o1", Attempt: 1, N: 1}
	voided    = events.PaymentVoidSucceeded{OrderID: "o1", Attempt: 1, Amount: gbp(500), Reference: "ch_1"}
	nothing   = events.PaymentVoidSucceeded{OrderID: "o1", Attempt: 1, Amount: gbp(0)}
)

func voidOf(n int) events.PaymentVoidRequested {
	return events.PaymentVoidRequested{OrderID: "o1", Attempt: 1, N: n, Amount: gbp(500), Reference: "ch_1"}
}

func report(e es.Event) payment.Report { return payment.Report{OrderID: "o1", Outcome: e} }

func TestInitiate(t *testing.T) {
	c := payment.Initiate{OrderID: "o1", Total: gbp(500)}
	given(t).When(c).Then(initiated)
	given(t, initiated).When(c).ThenNothing()
	given(t, initiated).When(payment.Initiate{OrderID: "o1", Total: gbp(501)}).ThenRejected(payment.Differs)
	given(t).When(payment.Initiate{OrderID: "o1", Total: gbp(0)}).ThenRejected(payment.Invalid)
}

func TestAuthorise(t *testing.T) {
	c := payment.Authorise{OrderID: "o1", Attempt: 1, Amount: gbp(500), Token: token}
	second := payment.Authorise{OrderID: "o1", Attempt: 2, Amount: gbp(500), Token: token}
	open := events.PaymentDeclined{OrderID: "o1", Attempt: 2, Code: "attempt_open"}
	again := asked
	again.Attempt = 2

	given(t).When(c).Then(initiated, asked)
	given(t).When(payment.Authorise{OrderID: "o1", Amount: gbp(500), Token: token}).Then(initiated, asked)
	given(t, initiated).When(c).Then(asked)
	given(t, initiated, asked).When(c).ThenNothing()
	given(t, initiated, asked, held).When(c).ThenNothing()
	given(t, initiated, asked, declined).When(second).Then(again)
	given(t, initiated, asked, held, voidOf(1), voided).When(second).Then(again)
	given(t, initiated, asked, held, expired).When(second).Then(again)
	given(t, initiated, asked).When(second).Then(open)
	given(t, initiated, asked, unknown).When(second).Then(open)
	given(t, initiated, asked, action).When(second).Then(open)
	given(t, initiated, asked, held).When(second).Then(open)
	given(t, initiated, asked, held, voidOf(1)).When(second).Then(open)
	given(t).When(payment.Authorise{OrderID: "o1", Amount: gbp(0)}).ThenRejected(payment.Invalid)
	given(t, initiated).When(payment.Authorise{OrderID: "o1", Amount: gbp(501)}).ThenRejected(payment.Invalid)
	given(t, initiated).When(payment.Authorise{OrderID: "o1", Amount: events.Money{Amount: 1, Currency: "EUR"}}).ThenRejected(payment.Invalid)
}

func TestVoid(t *testing.T) {
	c := payment.Void{OrderID: "o1", Attempt: 1}
	given(t, initiated, asked, held).When(c).Then(voidOf(1))
	given(t, initiated, asked, held).When(payment.Void{OrderID: "o1"}).Then(voidOf(1))
	second, secondHeld := asked, held
	second.Attempt, secondHeld.Attempt = 2, 2
	ofSecond := voidOf(1)
	ofSecond.Attempt = 2
	given(t, initiated, asked, declined, second, secondHeld).When(payment.Void{OrderID: "o1"}).Then(ofSecond) // the one that holds money
	given(t, initiated, asked, held, voidOf(1)).When(c).ThenNothing()
	given(t, initiated, asked, held, voidOf(1), voided).When(c).ThenNothing()
	given(t, initiated, asked).When(c).Then(toVoid)
	given(t, initiated, asked, unknown).When(c).Then(toVoid)
	given(t, initiated, asked, action).When(c).
		Then(events.PaymentVoidRequested{OrderID: "o1", Attempt: 1, N: 1, Reference: "ch_1"})

	// nothing to undo is said, too
	empty := nothing
	empty.Reference = "ch_1"
	given(t, initiated, asked, declined).When(c).Then(empty)
	given(t, initiated, asked, declined, empty).When(c).ThenNothing()
	given(t, initiated, asked, held, expired).When(c).Then(empty)

	// the undo overtakes the do
	given(t, initiated).When(c).Then(nothing)
	given(t, initiated, nothing).When(payment.Authorise{OrderID: "o1", Attempt: 1, Amount: gbp(500)}).
		Then(events.PaymentDeclined{OrderID: "o1", Attempt: 1, Code: "voided"})
	given(t, initiated, nothing, events.PaymentDeclined{OrderID: "o1", Attempt: 1, Code: "voided"}).When(c).ThenNothing()

	// one that failed is tried again
	failed := events.PaymentVoidFailed{OrderID: "o1", Attempt: 1, N: 1, Code: "try_later"}
	given(t, initiated, asked, held, voidOf(1), failed).When(c).Then(voidOf(2))
	given(t, initiated, asked, held, voidOf(1), failed, voidOf(2)).When(c).ThenNothing()
}

func TestReportAuthorisation(t *testing.T) {
	requested := []es.Event{initiated, asked}
	after := func(more ...es.Event) []es.Event { return append(requested[:2:2], more...) }

	for _, outcome := range []es.Event{unknown, action, held, declined} {
		given(t, requested...).When(report(outcome)).Then(outcome)
		given(t, after(outcome)...).When(report(outcome)).ThenNothing() // the same again
	}
	for _, outcome := range []es.Event{action, held, declined} {
		given(t, after(unknown)...).When(report(outcome)).Then(outcome)
	}
	for _, outcome := range []es.Event{held, declined} {
		given(t, after(action)...).When(report(outcome)).Then(outcome)
		for _, older := range []es.Event{unknown, action} {
			given(t, after(outcome)...).When(report(older)).ThenNothing()
		}
	}
	given(t, after(action)...).When(report(unknown)).ThenNothing()
	given(t, after(held)...).When(report(expired)).Then(expired)
	given(t, after(held, expired)...).When(report(expired)).ThenNothing()
	given(t, after(declined)...).When(report(expired)).ThenNothing()
	given(t, after(held, voidOf(1), voided)...).When(report(held)).ThenNothing()
	given(t, after(held, voidOf(1), voided)...).When(report(declined)).ThenNothing()
	given(t).When(report(held)).ThenRejected(payment.NoAttempt)
	given(t, requested...).When(report(asked)).ThenRejected(payment.Invalid)
	given(t, initiated, nothing).When(report(declined)).ThenNothing()

	precise := held
	precise.ExpiresAt = expiry.Add(999).In(time.FixedZone("CET", 3600)) // times are UTC, cut to microseconds
	given(t, requested...).When(report(precise)).Then(held)

	// a late success, with the request to void it pending
	given(t, after(unknown, toVoid)...).When(report(held)).Then(held)
	given(t, after(unknown, toVoid)...).When(report(declined)).Then(declined)
}

func TestReportAnotherAmount(t *testing.T) {
	more := held
	more.Amount = gbp(600)
	mismatch := events.PaymentDeclined{
		OrderID: "o1", Attempt: 1, Code: "amount_mismatch", Reference: "ch_1", Held: gbp(600),
		Detail: "asked for 5.00 GBP, the provider held 6.00 GBP",
	}
	undo := events.PaymentVoidRequested{OrderID: "o1", Attempt: 1, N: 1, Key: "o1/1/void/1", Amount: gbp(600), Reference: "ch_1"}
	gone := voided
	gone.Amount = gbp(600)

	given(t, initiated, asked).When(report(more)).Then(mismatch, undo)
	given(t, initiated, asked, mismatch, undo).When(report(more)).ThenNothing()
	given(t, initiated, asked, mismatch, undo).When(payment.Void{OrderID: "o1"}).ThenNothing()
	given(t, initiated, asked, mismatch, undo).When(report(voided)).Then(gone)
	given(t, initiated, asked, mismatch, undo, gone).When(report(more)).ThenNothing()
	given(t, initiated, asked, unknown, toVoid).When(report(more)).Then(mismatch) // the void that waits will do
	given(t, initiated, asked, mismatch, undo).When(payment.Authorise{OrderID: "o1", Attempt: 2, Amount: gbp(500)}).
		Then(events.PaymentDeclined{OrderID: "o1", Attempt: 2, Code: "attempt_open"})
	euros := held
	euros.Amount.Currency = "EUR"
	o := given(t, initiated, asked).When(report(euros))
	mismatch.Held, mismatch.Detail = euros.Amount, "asked for 5.00 GBP, the provider held 5.00 EUR"
	undo.Amount = euros.Amount
	o.Then(mismatch, undo)
}

func TestReportContradictions(t *testing.T) {
	after := func(more ...es.Event) []es.Event { return append([]es.Event{initiated, asked}, more...) }
	contradicted := events.PaymentOutcomeContradicted{
		OrderID: "o1", Attempt: 1, State: "declined", Reported: "payment.authorised", Amount: gbp(500), Reference: "ch_1",
	}
	undo := voidOf(1)
	undo.Key = "o1/1/void/1"
	given(t, after(declined)...).When(report(held)).Then(contradicted, undo)
	given(t, after(declined, contradicted, undo)...).When(report(held)).ThenNothing()
	given(t, after(declined, contradicted, undo)...).When(report(voided)).Then(voided)

	// money for an attempt that was barred
	barred := contradicted
	barred.State = "barred"
	undo.N, undo.Key = 1, "o1/1/void/1"
	given(t, initiated, nothing).When(report(held)).Then(barred, undo)

	// no money where some was held: kept, and nothing moves
	given(t, after(held)...).When(report(declined)).
		Then(events.PaymentOutcomeContradicted{OrderID: "o1", Attempt: 1, State: "authorised", Reported: "payment.declined", Reference: "ch_1"})

	// two charges for one attempt
	other := held
	other.Reference = "ch_2"
	given(t, after(held)...).When(report(other)).
		Then(events.PaymentOutcomeContradicted{OrderID: "o1", Attempt: 1, State: "authorised", Reported: "payment.authorised ch_2"})
}

func TestReportVoid(t *testing.T) {
	voiding := []es.Event{initiated, asked, held, voidOf(1)}
	after := func(more ...es.Event) []es.Event { return append(voiding[:4:4], more...) }
	failed := events.PaymentVoidFailed{OrderID: "o1", Attempt: 1, N: 1, Code: "try_later"}
	noAnswer := events.PaymentOutcomeUnknown{OrderID: "o1", Attempt: 1, Operation: "void"}

	given(t, voiding...).When(report(voided)).Then(voided)
	given(t, after(voided)...).When(report(voided)).ThenNothing()
	given(t, voiding...).When(report(failed)).Then(failed)
	given(t, after(failed)...).When(report(failed)).ThenNothing()
	given(t, after(failed, voidOf(2))...).When(report(failed)).ThenNothing() // the second is still open
	given(t, after(failed)...).When(report(voided)).Then(voided)             // failed, they said
	given(t, after(voided)...).When(report(failed)).ThenNothing()
	given(t, voiding...).When(report(noAnswer)).Then(noAnswer)
	given(t, after(noAnswer)...).When(report(noAnswer)).ThenNothing()
	given(t, after(noAnswer)...).When(report(voided)).Then(voided)
	given(t, initiated, asked, held).When(report(voided)).ThenRejected(payment.Invalid)

	// what was held is what is given back, whatever the report says
	little := voided
	little.Amount, little.Reference = gbp(1), ""
	given(t, voiding...).When(report(little)).Then(voided)
	// nothing is held of an attempt that was declined while its void waited
	given(t, initiated, asked, unknown, toVoid, declined).When(report(little)).
		Then(events.PaymentVoidSucceeded{OrderID: "o1", Attempt: 1, Amount: gbp(0), Reference: "ch_1"})
}

func TestNextVoid(t *testing.T) {
	for name, c := range map[string]struct {
		past []es.Event
		want payment.VoidStep
	}{
		"not asked for":   {[]es.Event{asked, held}, payment.VoidDone},
		"held":            {[]es.Event{asked, held, voidOf(1)}, payment.VoidCall},
		"no answer":       {[]es.Event{asked, held, voidOf(1), events.PaymentOutcomeUnknown{Attempt: 1, Operation: "void"}}, payment.VoidCall},
		"pending":         {[]es.Event{asked, toVoid}, payment.VoidWait},
		"unknown":         {[]es.Event{asked, unknown, toVoid}, payment.VoidWait},
		"action required": {[]es.Event{asked, action, toVoid}, payment.VoidCall},
		"late success":    {[]es.Event{asked, unknown, toVoid, held}, payment.VoidCall},
		"late decline":    {[]es.Event{asked, unknown, toVoid, declined}, payment.VoidEmpty},
		"expired":         {[]es.Event{asked, held, voidOf(1), expired}, payment.VoidEmpty},
		"done":            {[]es.Event{asked, held, voidOf(1), voided}, payment.VoidDone},
		"failed":          {[]es.Event{asked, held, voidOf(1), events.PaymentVoidFailed{Attempt: 1}}, payment.VoidDone},
	} {
		var p payment.Payment
		for _, e := range c.past {
			p.Evolve(e)
		}
		if got := p.Attempt(1).NextVoid(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestRecord(t *testing.T) {
	c := payment.Record{OrderID: "o1", RecordID: "import", Amount: gbp(500), Method: "import"}
	recorded := events.PaymentRecorded{OrderID: "o1", RecordID: "import", Amount: gbp(500), Method: "import"}
	given(t).When(c).Then(recorded)
	given(t, recorded).When(c).ThenNothing()
	c.Amount = gbp(501)
	given(t, recorded).When(c).ThenRejected(payment.Differs)
	c.RecordID, c.Amount = "2", gbp(0)
	given(t, recorded).When(c).ThenRejected(payment.Invalid)
	c.Amount = events.Money{Amount: 1, Currency: "EUR"}
	given(t, recorded).When(c).ThenRejected(payment.Invalid)
	given(t, initiated).When(c).ThenRejected(payment.Invalid)
	c.Amount = gbp(events.MaxAmount)
	given(t, recorded).When(c).ThenRejected(payment.Invalid)

	back := payment.RecordRefund{OrderID: "o1", RecordID: "C2", Amount: gbp(300), Method: "import"}
	refunded := events.PaymentRefundRecorded{OrderID: "o1", RecordID: "C2", Amount: gbp(300), Method: "import"}
	given(t, recorded).When(back).Then(refunded)
	given(t, recorded, refunded).When(back).ThenNothing()
	back.Amount = gbp(200)
	given(t, recorded, refunded).When(back).ThenRejected(payment.Differs)
	back.RecordID, back.Amount = "C3", gbp(201)
	given(t, recorded, refunded).When(back).ThenRejected(payment.RefundExceeds)
	given(t).When(back).ThenRejected(payment.RefundExceeds)
	back.Amount = gbp(0)
	given(t, recorded).When(back).ThenRejected(payment.Invalid)
}

func TestFoldsEveryEvent(t *testing.T) {
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	estest.FoldsAll[payment.Payment](t, c)
}
