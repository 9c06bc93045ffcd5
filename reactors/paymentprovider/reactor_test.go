package paymentprovider

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// TestTokens brings every token of the simulator to its end.
func TestTokens(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		token string
		want  payment.State
		code  string
		heard string // the events, in order
		held  int64
	}{
		{"tok_approve", payment.Authorised, "", "initiated authorisation_requested authorised", asked},
		{"tok_decline", payment.Declined, "insufficient_funds", "initiated authorisation_requested declined", 0},
		{"tok_decline_once", payment.Declined, "insufficient_funds", "initiated authorisation_requested declined", 0},
		{"tok_slow_20", payment.Authorised, "", "initiated authorisation_requested authorised", asked},
		{"tok_slow_500", payment.Authorised, "", "initiated authorisation_requested outcome_unknown authorised", asked},
		{"tok_silent", payment.Declined, "not_found", "initiated authorisation_requested outcome_unknown declined", 0},
		{"tok_silent_approved", payment.Authorised, "", "initiated authorisation_requested outcome_unknown authorised", asked},
		{"tok_late_1", payment.Authorised, "", "initiated authorisation_requested outcome_unknown authorised", asked},
		{"tok_expires_60", payment.Authorised, "", "initiated authorisation_requested authorised", asked},
		{"tok_capture_fails", payment.Authorised, "", "initiated authorisation_requested authorised", asked},
		{"tok_nonsense", payment.Declined, "unknown_token", "initiated authorisation_requested declined", 0},
		{"", payment.Declined, "no_token", "initiated authorisation_requested declined", 0},
	} {
		t.Run(c.token, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.run()
			ref := w.authorise("o1", c.token)
			a := w.until("ended", "o1", func(a payment.Attempt) bool { return !a.State.Open() })
			if a.State != c.want || a.DeclineCode != c.code || a.Held.Amount != c.held {
				t.Errorf("ended %s %s holding %s, want %s %s %d", a.State, a.DeclineCode, a.Held, c.want, c.code, c.held)
			}
			_, all := w.history("o1")
			if got := strings.Join(types(all), " "); got != c.heard {
				t.Errorf("reported %s\nwant %s", got, c.heard)
			}
			intent := all[1]
			for _, r := range all[2:] {
				if r.Meta.Effect != ref || r.Meta.Causation != intent.ID.String() || r.Meta.Correlation != intent.Meta.Correlation || r.Meta.Actor.ID != Name {
					t.Errorf("%s: %+v", r.Event.EventType(), r.Meta)
				}
			}
			w.rest()
			w.agrees("o1")
			if c.token != "" && strings.Contains(w.logs.String(), c.token) {
				t.Error("the token is in the logs")
			}
		})
	}
}

func TestWrongAmountIsVoided(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	w.authorise("o1", "tok_wrong_amount")
	a := w.until("voided", "o1", voided)
	if a.State != payment.Declined || a.DeclineCode != payment.DeclinedAmountMismatch {
		t.Errorf("ended %s %s", a.State, a.DeclineCode)
	}
	w.rest()
	w.agrees("o1")
	if e := w.ledger("o1")[0]; e.Authorised != asked+1 || e.Voided != asked+1 {
		t.Errorf("ledger: %+v", e)
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	for result, want := range map[string]payment.State{"approve": payment.Authorised, "fail": payment.Declined} {
		t.Run(result, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.run()
			w.authorise("o1", "tok_action")
			w.until("an action", "o1", inState(payment.ActionRequired))
			_, all := w.history("o1")
			action := all[len(all)-1].Event.(events.PaymentActionRequired)
			res, err := http.Post(action.Action.URL, "application/json", bytes.NewReader([]byte(`{"result":"`+result+`"}`)))
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%v %v", res, err)
			}
			_ = res.Body.Close()
			w.until("ended", "o1", inState(want))
			w.rest()
			w.agrees("o1")
			if n := w.hook.count("authorise"); n != 1 {
				t.Errorf("sent %d times, want once: a repeat only gives the stored answer", n)
			}
		})
	}
	t.Run("void", func(t *testing.T) { // the saga's timer
		t.Parallel()
		w := newWorld(t)
		w.run()
		w.authorise("o1", "tok_action")
		w.until("an action", "o1", inState(payment.ActionRequired))
		w.void("o1", 1)
		w.until("voided", "o1", voided)
		w.rest()
		w.agrees("o1")
	})
}

func TestVoids(t *testing.T) {
	t.Parallel()
	t.Run("of what is held", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.run()
		w.authorise("o1", "tok_approve")
		w.until("held", "o1", inState(payment.Authorised))
		ref := w.void("o1", 1)
		w.until("voided", "o1", voided)
		_, all := w.history("o1")
		last := all[len(all)-1]
		if e := last.Event.(events.PaymentVoidSucceeded); e.Amount.Amount != asked || last.Meta.Effect != ref {
			t.Errorf("voided %s for %v", e.Amount, last.Meta.Effect)
		}
		w.rest()
		w.agrees("o1")
	})
	t.Run("fails once", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.run()
		w.authorise("o1", "tok_void_fails_once")
		w.until("held", "o1", inState(payment.Authorised))
		w.void("o1", 1)
		w.until("failed", "o1", func(a payment.Attempt) bool { return a.Void == payment.VoidFailed })
		w.rest()
		w.agrees("o1")
		w.void("o1", 2)
		w.until("voided", "o1", voided)
		w.rest()
		w.agrees("o1")
	})
	for token, end := range map[string]string{"tok_late_1": "approved", "tok_silent_approved": "approved", "tok_slow_500": "approved", "tok_silent": "not found"} {
		t.Run("waits while "+token+" is unknown", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.hook.set(func(_ context.Context, m moment, kind string) {
				if p, _ := w.history("o1"); kind == "void" && m == beforeSend && p.Attempt(1).State.Open() {
					t.Error("voided before the attempt's outcome was known")
				}
			})
			w.run()
			w.authorise("o1", token)
			w.void("o1", 1)
			w.until("voided", "o1", voided)
			w.rest()
			w.agrees("o1")
			_, all := w.history("o1")
			reported := types(all)
			known := slices.IndexFunc(reported, func(s string) bool { return s == "authorised" || s == "declined" })
			if known < 0 || known > slices.Index(reported, "void_succeeded") || (reported[known] == "authorised") != (end == "approved") {
				t.Errorf("reported %v", reported)
			}
		})
	}
}

// TestCrashes stops the process at each moment around calls and reports, and starts it again, with and without its Postgres.
func TestCrashes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		token string
		at    string
		nth   int
	}{
		{"tok_approve", "authorise before the call", 1},
		{"tok_approve", "authorise after the call", 1},
		{"tok_approve", "payment.authorised before", 1},
		{"tok_approve", "payment.authorised after", 1},
		{"tok_decline", "authorise after the call", 1},
		{"tok_decline", "payment.declined after", 1},
		{"tok_slow_300", "authorise after the call", 1},
		{"tok_slow_300", "payment.outcome_unknown before", 1},
		{"tok_slow_300", "payment.outcome_unknown after", 1},
		{"tok_silent", "authorise before the call", 2},
		{"tok_silent_approved", "payment.outcome_unknown after", 1},
		{"tok_late_1", "payment.authorised before", 1},
		{"tok_silent", "payment.declined before", 1},
		{"tok_silent", "payment.declined after", 1},
		{"tok_wrong_amount", "payment.declined before", 1},
		{"tok_wrong_amount", "payment.declined after", 1},
		{"tok_wrong_amount", "void after the call", 1},
		{"tok_wrong_amount", "payment.void_succeeded before", 1},
		{"tok_wrong_amount", "payment.void_succeeded after", 1},
		{"tok_void_fails_once", "void before the call", 1},
		{"tok_void_fails_once", "void after the call", 1},
		{"tok_void_fails_once", "payment.void_failed after", 1},
	} {
		for _, lost := range []bool{false, true} {
			name := fmt.Sprintf("%s %s %d", c.token, c.at, c.nth)
			if lost {
				name += ", Postgres lost"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				first := w.run()
				crashed := make(chan struct{})
				seen := 0
				w.crashAt(func(at string) bool {
					if at == c.at {
						seen++
					}
					return seen == c.nth && at == c.at
				}, first, crashed)
				w.authorise("o1", c.token)
				if c.token == "tok_void_fails_once" {
					w.until("held", "o1", inState(payment.Authorised))
					w.void("o1", 1)
				}
				<-crashed
				first.stop()
				w.store.Fail(memory.Faults{})
				w.hook.set(nil)
				if lost {
					w.pool = postgrestest.New(t)
				}
				w.run()
				w.until("ended", "o1", func(a payment.Attempt) bool {
					return !a.State.Open() && a.Void != payment.VoidRequested && a.Void != payment.VoidUnknown
				})
				if c.token == "tok_void_fails_once" {
					w.void("o1", 2)
					w.until("voided", "o1", voided)
				}
				w.rest()
				w.agrees("o1")
			})
		}
	}
}

// crashAt ends the process when is says so of a moment, and lets nothing of it happen afterwards.
func (w *world) crashAt(is func(string) bool, p *process, crashed chan struct{}) {
	crash := func(ctx context.Context, at string) {
		w.logMu.Lock()
		yes := is(at)
		w.logMu.Unlock()
		if yes {
			p.crash()
			close(crashed)
			<-ctx.Done()
		}
	}
	w.hook.set(func(ctx context.Context, m moment, kind string) { crash(ctx, kind+" "+string(m)) })
	report := func(when string) func(context.Context, es.StreamID, es.Expected, []es.Proposed) error {
		return func(_ context.Context, _ es.StreamID, _ es.Expected, proposed []es.Proposed) error {
			if p.ctx.Err() != nil && !strings.HasSuffix(proposed[0].Type, "requested") {
				return p.ctx.Err() // a lane's leader outlives its caller; a dead process' does not
			}
			crash(p.ctx, proposed[0].Type+" "+when)
			return p.ctx.Err()
		}
	}
	w.store.Fail(memory.Faults{BeforeAppend: report("before"), AfterAppend: report("after")})
}

// TestWhatHasAnOutcomeIsNotCalledAgain: Postgres is lost, and with it every checkpoint.
func TestWhatHasAnOutcomeIsNotCalledAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.run()
	tokens := []string{"tok_approve", "tok_decline", "tok_wrong_amount", "tok_silent_approved"}
	for i, token := range tokens {
		w.authorise(fmt.Sprint("o", i), token)
	}
	for i := range tokens {
		w.until("ended", fmt.Sprint("o", i), func(a payment.Attempt) bool { return !a.State.Open() && a.Void != payment.VoidRequested })
	}
	w.rest()
	p.stop()
	sends, before := w.hook.count("authorise")+w.hook.count("void"), len(w.store.All(0))
	w.pool = postgrestest.New(t)
	w.run()
	w.authorise("last", "tok_approve")
	w.until("ended", "last", inState(payment.Authorised))
	w.rest()
	if got := w.hook.count("authorise") + w.hook.count("void") - sends; got != 1 {
		t.Errorf("%d calls after the loss, want the 1 of the new order", got)
	}
	if got := len(w.store.All(0)) - before; got != 3 {
		t.Errorf("%d events after the loss, want the 3 of the new order", got)
	}
}

// TestAnUnansweredSendIsLookedUpFirst: an existing charge is found before the request is repeated.
func TestAnUnansweredSendIsLookedUpFirst(t *testing.T) {
	t.Parallel()
	for token, sends := range map[string]int{"tok_silent_approved": 1, "tok_late_1": 1, "tok_silent": 3} {
		t.Run(token, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.run()
			w.authorise("o1", token)
			w.until("ended", "o1", func(a payment.Attempt) bool { return !a.State.Open() })
			if n := w.hook.count("authorise"); n != sends {
				t.Errorf("sent %d times, want %d", n, sends)
			}
			w.rest()
			w.agrees("o1")
		})
	}
}

// TestOldIntentsAreLookedUp: the key of an intent of yesterday may have been forgotten, so it is never sent.
func TestOldIntentsAreLookedUp(t *testing.T) {
	t.Parallel()
	for name, charged := range map[string]bool{"charged": true, "not charged": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.store.Now = func() time.Time { return time.Now().Add(-21 * time.Hour) }
			ref := w.authorise("o1", "tok_approve")
			if charged { // by a process that died before it could say so
				a := w.hook.Provider.Authorise(t.Context(), Request{
					Key: ref.ID.String(), OrderID: "o1", Attempt: 1, Amount: events.Money{Amount: asked, Currency: "GBP"}, Token: "tok_approve",
				})
				if a.Outcome != Approved {
					t.Fatal(a)
				}
			}
			w.run()
			a := w.until("ended", "o1", func(a payment.Attempt) bool { return !a.State.Open() })
			if (a.State == payment.Authorised) != charged || !charged && a.DeclineCode != "not_found" {
				t.Errorf("ended %s %s", a.State, a.DeclineCode)
			}
			if n := w.hook.count("authorise"); n != 0 {
				t.Errorf("sent %d times", n)
			}
			w.rest()
			w.agrees("o1")
		})
	}
}

func TestAnErasedTokenIsLookedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	w.authoriseSealed("o1", es.Sealed{Subject: "erased", Ciphertext: []byte("tok_approve")})
	a := w.until("ended", "o1", func(a payment.Attempt) bool { return !a.State.Open() })
	if a.DeclineCode != "not_found" || w.hook.count("authorise") != 0 {
		t.Errorf("ended %s %s, sent %d times", a.State, a.DeclineCode, w.hook.count("authorise"))
	}
}

// TestLateSuccessAfterNotFound: money turns up for an attempt that was given up. It is reported and goes back.
func TestLateSuccessAfterNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	ref := w.authorise("o1", "tok_silent")
	w.until("given up", "o1", inState(payment.Declined))
	a := w.hook.Provider.Authorise(t.Context(), Request{
		Key: ref.ID.String(), OrderID: "o1", Attempt: 1, Amount: events.Money{Amount: asked, Currency: "GBP"}, Token: "tok_approve",
	})
	if a.Outcome != Approved {
		t.Fatal(a)
	}
	w.until("voided", "o1", voided)
	w.rest()
	w.agrees("o1")
	_, all := w.history("o1")
	if reported := types(all); !slices.Contains(reported, "outcome_contradicted") {
		t.Errorf("reported %v", reported)
	}
}

func TestFiftyOrdersAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	tokens := []string{
		"tok_approve", "tok_decline", "tok_slow_100", "tok_silent_approved", "tok_late_1", "tok_wrong_amount", "tok_silent", "tok_slow_400", "tok_approve", "tok_void_fails_once",
	}
	begin := time.Now()
	for i := range 50 {
		w.authorise(fmt.Sprint("o", i), tokens[i%len(tokens)])
		if i%7 == 0 {
			w.void(fmt.Sprint("o", i), 1)
		}
	}
	for i := range 50 {
		w.until("ended", fmt.Sprint("o", i), func(a payment.Attempt) bool {
			return !a.State.Open() && a.Void != payment.VoidRequested && a.Void != payment.VoidUnknown
		})
	}
	w.rest()
	for i := range 50 {
		w.agrees(fmt.Sprint("o", i))
	}
	t.Logf("50 orders with mixed tokens in %s: %d sends, %d voids, %d lookups", time.Since(begin).Round(time.Millisecond),
		w.hook.count("authorise"), w.hook.count("void"), w.hook.looks)
}
