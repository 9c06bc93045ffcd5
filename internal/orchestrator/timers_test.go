package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

var thePayment = es.StreamID{Category: "payment", Key: "o1"}

// asked waits until the provider has been asked, and gives the intent.
func (w *world) asked() (rec es.Record) {
	w.t.Helper()
	w.until("the provider to be asked", func() (bool, string) {
		for _, r := range w.store.All(0) {
			if r.Stream == thePayment && r.Type == "payment.authorisation_requested" {
				rec = r
				return true, ""
			}
		}
		return false, ""
	})
	return rec
}

// TestDueTimerReadsFirst: the yes is in the payment's stream, but what would bring it is far behind.
func TestDueTimerReadsFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{Authorise: 5 * time.Second}) // time for the answer to be there before
	w.receive("A", 5)
	p := w.start(nil)
	w.place("o1", "tok_approve", "A")
	intent := w.asked()
	p.deaf.Store(true)
	if err := w.answer(t.Context(), intent); err != nil {
		t.Fatal(err)
	}
	w.await("placement-o1", machine.Completed)
	if n := w.said("placement-o1", "timer_due"); n != 0 {
		t.Errorf("the timer was believed %d times", n)
	}
}

// TestDueTimerWaitsForTheStore: while the stream cannot be read, nothing is taken for a silence.
func TestDueTimerWaitsForTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{Authorise: 5 * time.Second}) // time for the store to be away before
	w.receive("A", 5)
	p := w.start(nil)
	w.place("o1", "tok_approve", "A")
	intent := w.asked()
	p.deaf.Store(true)
	var away, tries atomic.Int64
	away.Store(1)
	w.store.Fail(memory.Faults{BeforeRead: func(_ context.Context, s es.StreamID, _ uint64) error {
		if s == thePayment && away.Load() == 1 {
			tries.Add(1)
			return errors.New("away")
		}
		return nil
	}})
	w.until("the timer to have tried", func() (bool, string) { return tries.Load() >= 3, "" })
	away.Store(0)
	if err := w.answer(t.Context(), intent); err != nil {
		t.Fatal(err)
	}
	w.until("the order to end", func() (bool, string) {
		s := w.order("o1").Status
		return s == order.Confirmed || s == order.Rejected, string(s)
	})
	// The store came back before the answer was recorded: either end is right, as long as the order ends whole.
	p.deaf.Store(false)
	w.conservedSoon([]string{"o1"}, []string{"A"})
}

// TestOutageIsNotTheProvidersSilence: no process was there to send the authorisation until its deadline had long passed.
func TestOutageIsNotTheProvidersSilence(t *testing.T) {
	t.Parallel()
	const within = 5 * time.Second
	w := newWorld(t, sagas.Deadlines{Authorise: within})
	w.receive("A", 5)
	p := w.start(crashAt(failpoint.EffectBefore, 2)) // the reservation was sent, the authorisation was not
	w.place("o1", "tok_approve", "A")
	w.until("the crash", func() (bool, string) { return p.dead.Load(), "" })
	p.stop()
	if n := len(w.types(thePayment)); n > 0 {
		t.Fatalf("%d events of the payment: the authorisation was sent", n)
	}
	began := time.Now()
	w.until("the outage to end", func() (bool, string) { return time.Since(began) > within, "" })
	w.start(nil)
	intent := w.asked()
	w.until("the deadline to be counted from the authorisation", func() (bool, string) {
		var ahead *bool
		err := w.pool.QueryRow(t.Context(), `select due_at > now() from daybook.saga_instance where instance = 'placement-o1'`).Scan(&ahead)
		return err == nil && ahead != nil && *ahead, fmt.Sprint(err)
	})
	if err := w.answer(t.Context(), intent); err != nil {
		t.Fatal(err)
	}
	w.await("placement-o1", machine.Completed)
}

// TestTimerFires where there is no answer.
func TestTimerFires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{Authorise: 50 * time.Millisecond})
	w.receive("A", 5)
	w.start(nil)
	w.place("o1", "tok_approve", "A")
	intent := w.asked()
	w.until("the void to be asked for", func() (bool, string) { return w.count(thePayment, "payment.void_requested") == 1, "" })
	if n := w.count(es.StreamID{Category: "stock", Key: "A"}, "stock.released"); n != 0 {
		t.Error("stock was released while it was unknown whether the card was charged")
	}
	if err := w.answer(t.Context(), intent); err != nil { // late success
		t.Fatal(err)
	}
	w.provider()
	w.await("placement-o1", machine.Compensated)
	w.conserved([]string{"o1"}, []string{"A"})
	typ := w.types(thePayment)
	if want := (events.PaymentVoidSucceeded{}).EventType(); typ[len(typ)-1] != want {
		t.Errorf("the payment ends with %s", typ[len(typ)-1])
	}
}

// TestTimerOfAnOutage: the authorisation was sent, and its deadline passes in an outage. As much time as the outage took is left for
// the answer.
func TestTimerOfAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{Authorise: 300 * time.Millisecond})
	w.receive("A", 5)
	w.uptime.lasts.Store(true)
	p := w.start(nil)
	w.place("o1", "tok_approve", "A")
	intent := w.asked()
	putOff := func() float64 { return testutil.ToFloat64(p.o.metrics.timers.WithLabelValues("placement", "put_off")) }
	w.until("the deadline to be put off while the outage lasts", func() (bool, string) { return putOff() >= 2, "" })
	w.uptime.down.Store(int64(time.Hour))
	w.uptime.lasts.Store(false)
	before := putOff()
	w.until("the deadline to be put off by the outage", func() (bool, string) { return putOff() > before, "" })
	if err := w.answer(t.Context(), intent); err != nil {
		t.Fatal(err)
	}
	w.await("placement-o1", machine.Completed)
	if n := w.said("placement-o1", "timer_due"); n != 0 {
		t.Errorf("the timer fired %d times", n)
	}
}
