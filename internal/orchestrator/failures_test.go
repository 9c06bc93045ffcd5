package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

// conservedSoon waits until every order has ended, and checks.
func (w *world) conservedSoon(orders, skus []string) {
	w.t.Helper()
	for _, id := range orders {
		w.until("the placement of "+id+" to end", func() (bool, string) { return w.atRest(id) })
	}
	w.conserved(orders, skus)
}

// atRest tells whether an order's placement has ended and nothing of it is due, else what it waits for.
func (w *world) atRest(id string) (bool, string) {
	have, err := List(w.t.Context(), w.pool, Filter{Key: id})
	return err == nil && len(have) == 0 && w.order(id).Status != order.Placed, fmt.Sprintf("%+v %v", have, err)
}

// TestStuck: a command fails for long enough to be recorded, is shown, is tried still, and its success frees the instance.
func TestStuck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 5)
	w.provider()
	var away atomic.Bool
	away.Store(true)
	w.start(func(p *process, c *Config) {
		c.StuckAfter = 50 * time.Millisecond
		c.stuckRetry = 50 * time.Millisecond
		p.send = func(c es.Command) error {
			if away.Load() && c.CommandType() == "payment.authorise" {
				return errors.New("the store is away")
			}
			return nil
		}
	})
	w.place("o1", "tok_approve", "A")
	var have []Instance
	w.until("the instance to be stuck", func() (bool, string) {
		var err error
		have, err = List(t.Context(), w.pool, Filter{Stuck: true})
		return err == nil && len(have) == 1, fmt.Sprint(err)
	})
	i := have[0]
	if i.Stream != "placement-o1" || i.Saga != "placement" || i.Key != "o1" || i.Phase != machine.Doing || i.Step != "authorise payment" ||
		i.Stuck != "authorise payment: the store is away" || i.Error != "the store is away" || len(i.Waiting) != 2 ||
		i.Waiting[0].Command != "payment.authorise" || i.Waiting[1].Kind != "timer" {
		t.Errorf("%+v", i)
	}
	counts, err := Counts(t.Context(), w.pool)
	if err != nil || len(counts) != 1 || !counts[0].Stuck || counts[0].N != 1 {
		t.Errorf("%+v %v", counts, err)
	}
	metrics := prometheus.NewRegistry()
	w.alone(func(c *Config) { c.Registerer = metrics })
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var series string
	for _, f := range families {
		if f.GetName() == "daybook_saga_instances" {
			series = fmt.Sprint(f.GetMetric())
		}
	}
	for _, want := range []string{"placement", "doing", "yes", "value:1"} {
		if !strings.Contains(series, want) {
			t.Errorf("metrics say %q", series)
		}
	}
	away.Store(false)
	w.await("placement-o1", machine.Completed)
	if n := w.said("placement-o1", "stuck"); n != 1 {
		t.Errorf("recorded as stuck %d times", n)
	}
	if have, err = List(t.Context(), w.pool, Filter{Stuck: true, Ended: true}); err != nil || len(have) != 0 {
		t.Errorf("still stuck: %+v %v", have, err)
	}
}

// TestBroken: a command that no repeat can heal makes the instance stuck at once; its deadline undoes it.
func TestBroken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{Reserve: 200 * time.Millisecond})
	w.receive("A", 5)
	w.provider()
	var tries atomic.Int64
	w.start(func(p *process, _ *Config) {
		p.send = func(c es.Command) error {
			if c.CommandType() == "stock.reserve" {
				tries.Add(1)
				return es.ErrEventTooLarge
			}
			return nil
		}
	})
	w.place("o1", "tok_approve", "A")
	w.await("placement-o1", machine.Compensated)
	if n := w.said("placement-o1", "stuck"); n != 1 {
		t.Errorf("recorded as stuck %d times", n)
	}
	if tries.Load() > 2 { // and once more for the timer
		t.Errorf("a broken command was sent %d times", tries.Load())
	}
	w.conserved([]string{"o1"}, []string{"A"})
}

// TestRejected: a rejection without an event is an answer.
func TestRejected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 5)
	w.provider()
	w.start(func(p *process, _ *Config) {
		p.send = func(c es.Command) error {
			if c.CommandType() == "order.confirm" {
				_, err := es.Reject("closed_for_today", "come back tomorrow")
				return err
			}
			return nil
		}
	})
	w.place("o1", "tok_approve", "A")
	w.await("placement-o1", machine.Compensated)
	w.conserved([]string{"o1"}, []string{"A"})
	if s := w.order("o1").Status; s != order.Rejected {
		t.Errorf("o1 is %s", s)
	}
}

// TestCommandThatWasDoneUnderAnotherID: the reservation was made under another id: its command leaves no event, and the instance keeps that.
func TestCommandThatWasDoneUnderAnotherID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 5)
	w.provider()
	if _, err := es.Handle(t.Context(), w.handler, stock.Reserve{SKU: "A", ReservationID: "o1/1/1", OrderID: "o1", Quantity: 1}, es.Call{}); err != nil {
		t.Fatal(err)
	}
	w.start(nil)
	w.place("o1", "tok_approve", "A")
	w.await("placement-o1", machine.Completed)
	if n := w.said("placement-o1", "answered"); n != 1 {
		t.Errorf("%d answers without an event", n)
	}
	w.conserved([]string{"o1"}, []string{"A"})
}

// TestStoreFails: appends fail, and succeed without saying so, everywhere.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 50)
	w.receive("B", 10)
	w.provider()
	fails := func(p float64, err error) error {
		if rand.Float64() < p {
			return err
		}
		return nil
	}
	w.store.Fail(memory.Faults{
		BeforeAppend: func(_ context.Context, s es.StreamID, _ es.Expected, _ []es.Proposed) error {
			if s.Category == "placement" {
				return fails(.1, errors.New("connection refused"))
			}
			return nil
		},
		AfterAppend: func(_ context.Context, s es.StreamID, _ es.Expected, _ []es.Proposed) error {
			if s.Category == "placement" {
				return fails(.2, es.ErrUnknownOutcome)
			}
			return nil
		},
	})
	w.start(func(_ *process, c *Config) { c.Hold = 20 << 10 }) // and little memory
	var ids []string
	for i := range 25 {
		id := fmt.Sprintf("o%d", i)
		ids = append(ids, id)
		w.place(id, []string{"tok_approve", "tok_decline", "tok_action"}[i%3], "A", "B")
	}
	for i := 2; i < len(ids); i += 3 {
		w.cancel(ids[i])
	}
	w.conservedSoon(ids, []string{"A", "B"})
}
