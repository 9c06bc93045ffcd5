package orchestrator

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

// patience holds stock for an order until somebody asks to cancel it, or time is up.
type patience struct {
	Order     string
	SKU       string
	Cancelled bool
}

func patient(within time.Duration) saga.Definition[patience] {
	return saga.Definition[patience]{
		Name: "patience", Version: 1,
		Start: saga.Start(nil, func(p *patience, e events.OrderPlaced) { p.Order, p.SKU = e.OrderID, e.Lines[0].SKU }),
		Steps: []saga.Step[patience]{
			{
				Name: "hold",
				Do: func(p patience, t saga.Turn) saga.Commands {
					return saga.Send(stock.Reserve{SKU: p.SKU, ReservationID: order.ReservationID(p.Order, 1, t.Attempt), OrderID: p.Order, Quantity: 1, At: t.At})
				},
				Undo: func(p patience, t saga.Turn) saga.Commands {
					return saga.Send(stock.Release{SKU: p.SKU, ReservationID: order.ReservationID(p.Order, 1, t.Attempt), OrderID: p.Order, At: t.At})
				},
				On: []saga.Reply[patience]{
					saga.On(func(*patience, events.StockReserved, saga.At) {}),
					saga.On(func(*patience, events.StockReleased, saga.At) {}),
				},
			},
			{
				Name: "wait",
				On:   []saga.Reply[patience]{saga.On(func(p *patience, _ events.OrderCancelRequested, _ saga.At) { p.Cancelled = true })},
				Done: func(p patience, _ saga.Turn) bool { return p.Cancelled },
				Deadline: func(patience) saga.Deadline {
					return saga.Deadline{Within: within, Remind: []time.Duration{within / 2}}
				},
			},
		},
	}
}

// askedOf is an uptime that says of no partition that it has caught up, and keeps of which it was asked.
type askedOf struct {
	mu  sync.Mutex
	all []int
	up  bool
}

func (a *askedOf) Down(partitions []int, _ time.Time) (time.Duration, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, partitions...)
	if a.up {
		return 0, time.Now()
	}
	return 0, time.Time{}
}

func (a *askedOf) of(partition int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.all, partition)
}

func (a *askedOf) caughtUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.up = true
}

// keyIn finds a key in a partition.
func keyIn(partition int, prefix string) string {
	for n := 0; ; n++ {
		if key := fmt.Sprint(prefix, n); partitionOf(key) == partition {
			return key
		}
	}
}

// TestAwaitHearsBeforeItsTimer: the timer of a step that sends nothing is due, while an event of before is in the log and was not heard.
// It does not fire before the sagas have heard all that was recorded up to its time, in the instance's partition and in those of the
// streams that the instance sent to.
func TestAwaitHearsBeforeItsTimer(t *testing.T) {
	t.Parallel()
	const within = 300 * time.Millisecond
	w := newWorldOf(t, patient(within))
	id, sku := keyIn(0, "o"), keyIn(1, "A")
	w.receive(sku, 5)
	up := &askedOf{}
	p := w.start(func(_ *process, c *Config) { c.Uptime = up })
	w.place(id, "tok_approve", sku)
	w.until("the wait to begin", func() (bool, string) { return w.said("patience-"+id, "began") == 2, "" })
	p.deaf.Store(true)
	w.cancel(id)
	w.until("the timer to be due and to ask", func() (bool, string) { return up.of(0) && up.of(1), "" })
	if n := w.said("patience-"+id, "timer_due"); n > 0 {
		t.Fatalf("%d timers fired", n)
	}
	p.deaf.Store(false)
	w.receive("news", 1) // what a feed holds back comes with the next event
	w.await("patience-"+id, machine.Completed)
	if n := w.said("patience-"+id, "timer_due"); n > 0 {
		t.Errorf("%d timers fired", n)
	}
}

// TestAwaitTimesOut: nothing comes. The wait is reminded of, shown, and then undone.
func TestAwaitTimesOut(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, patient(time.Second))
	w.receive("A", 5)
	up := &askedOf{}
	w.start(func(_ *process, c *Config) { c.Uptime = up })
	w.place("o1", "tok_approve", "A")
	w.until("the reminder to be waited for", func() (bool, string) {
		have, err := List(t.Context(), w.pool, Filter{Key: "o1"})
		return err == nil && len(have) == 1 && len(have[0].Waiting) == 2 && have[0].Waiting[0].Kind == "reminder", fmt.Sprint(have, err)
	})
	up.caughtUp()
	w.await("patience-o1", machine.Compensated)
	if n := w.said("patience-o1", "timer_due"); n != 2 {
		t.Errorf("%d timers fired, want the reminder and the deadline", n)
	}
	if s := load[stock.Stock](w, "A"); s.Reserved != 0 {
		t.Errorf("%d units are still reserved", s.Reserved)
	}
}

// counting is one instance per request of an order, which waits for the end of its own.
func counting() saga.Definition[bool] {
	return saga.Definition[bool]{
		Name: "counting", Version: 1,
		Start: saga.StartNumbered(func(e events.OrderCancelRequested) (int, bool) { return e.N, true }, func(*bool, events.OrderCancelRequested) {}),
		Steps: []saga.Step[bool]{{
			Name: "end",
			On: []saga.Reply[bool]{
				saga.OnNumbered(func(e events.OrderCancelRefused) []int { return []int{e.N} }, func(b *bool, _ events.OrderCancelRefused, _ saga.At) { *b = true }),
			},
			Done: func(b bool, _ saga.Turn) bool { return b },
		}},
	}
}

// TestNumberedInstancesHearTheirOwn: an event without an effect reaches the instances whose numbers it gives, and no other of its key.
func TestNumberedInstancesHearTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, counting())
	s := es.StreamID{Category: "order", Key: "o1"}
	for n, e := range []es.Event{
		events.OrderCancelRequested{OrderID: "o1", N: 1}, events.OrderCancelRequested{OrderID: "o1", N: 2}, events.OrderCancelRefused{OrderID: "o1", N: 2},
		events.OrderCancelRefused{OrderID: "o1", N: 3},
	} {
		if err := w.put(s, es.Expected(n-1), e); err != nil {
			t.Fatal(err)
		}
	}
	w.start(nil)
	w.await("counting-o1.2", machine.Completed)
	have, err := List(t.Context(), w.pool, Filter{Key: "o1", Ended: true})
	if err != nil || len(have) != 2 || have[0].Stream != "counting-o1.1" || have[0].Phase != machine.Doing {
		t.Errorf("%+v, %v", have, err)
	}
}

// TestDeployRefusesWhatDoesNotFit: a saga may not write the streams of an aggregate, nor hear what does not exist.
func TestDeployRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	named := patient(time.Second)
	named.Name = "payment"
	for want, c := range map[string]struct {
		of      saga.Saga
		catalog []es.Definition
	}{
		"saga payment version 1 has the name of an aggregate": {named, events.Catalog()},
		"hears stock.reserved, which is not in the catalogue": {patient(time.Second), []es.Definition{es.Define[events.OrderPlaced](1)}},
	} {
		machines, err := machine.Compile(c.of)
		if err != nil {
			t.Fatal(err)
		}
		catalog, err := es.NewCatalog(c.catalog, machine.Catalog())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Deploy(t.Context(), nil, nil, catalog, machines); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
}

// TestNeededVersions: a program needs the versions of sagas that run, and of those that may be reopened by what was recorded up to now,
// though it may not have been heard.
func TestNeededVersions(t *testing.T) {
	t.Parallel()
	reopens := patient(time.Hour)
	reopens.Reopen = saga.Reopen[patience]{Within: time.Hour, On: []saga.Reply[patience]{saga.On(func(*patience, events.OrderCancelRefused, saga.At) {})}}
	w := newWorldOf(t, reopens)
	w.receive("A", 5)
	p := w.start(nil)
	w.place("o1", "tok_approve", "A")
	w.cancel("o1")
	w.await("patience-o1", machine.Completed)
	p.stop()
	needs := func(want int) {
		t.Helper()
		have, err := Needs(t.Context(), w.pool)
		if err != nil || len(have) != want || want > 0 && have[0] != (Need{"patience", 1, 1}) {
			t.Errorf("needed are %v, %v; want %d", have, err, want)
		}
	}
	needs(1)
	if _, err := w.pool.Exec(t.Context(), `update daybook.saga_instance set reopens_until = now() - interval '1 minute'`); err != nil {
		t.Fatal(err)
	}
	needs(0)
	if _, err := w.pool.Exec(t.Context(), `insert into daybook.uptime (since, caught_up_at) values (now(), array[now(), now() - interval '1 hour', now()])`); err != nil {
		t.Fatal(err)
	}
	needs(1) // what was recorded since then has not been heard
}

// TestDefinitionChangesUnderAnInstance: a program gives other commands than were recorded. The instance is shown as stuck and keeps what it
// hears; the former program goes on with it.
func TestDefinitionChangesUnderAnInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	former := w.sagas
	w.receive("A", 5)
	p := w.start(nil)
	w.place("o1", "tok_approve", "A")
	intent := w.asked()
	p.stop()

	changed := sagas.Placement(sagas.Deadlines{})
	changed.Steps[1].Items = func(sagas.Placing) []string { return nil }
	var err error
	if w.sagas, err = machine.Compile[saga.Saga](changed, sagas.Cancellation()); err != nil {
		t.Fatal(err)
	}
	p = w.start(nil)
	w.until("the instance to be looked at", func() (bool, string) { // the command that was accepted is sent again
		_, err := w.pool.Exec(t.Context(), `update daybook.saga_instance set due_at = now() where instance = 'placement-o1' and stuck = ''`)
		have, list := List(t.Context(), w.pool, Filter{Stuck: true})
		return err == nil && list == nil && len(have) == 1 && strings.HasPrefix(have[0].Stuck, machine.DefinitionChanged), fmt.Sprint(have, err, list)
	})
	if err := w.answer(t.Context(), intent); err != nil {
		t.Fatal(err)
	}
	answered := w.count(es.StreamID{Category: "placement", Key: "o1"}, (machine.Stepped{}).EventType())
	w.until("the answer to be kept", func() (bool, string) {
		return w.count(es.StreamID{Category: "placement", Key: "o1"}, (machine.Stepped{}).EventType()) > answered, ""
	})
	if n := w.said("placement-o1", "done"); n != 2 {
		t.Errorf("%d steps are done: something was decided", n)
	}
	p.stop()

	w.sagas = former
	for _, sql := range []string{ // the feed may come to the instance before its owner does
		`update daybook.saga_checkpoint set position = 0`, `update daybook.saga_instance set due_at = now() where instance = 'placement-o1'`,
	} {
		if _, err := w.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	w.start(nil)
	w.await("placement-o1", machine.Completed)
	w.conserved([]string{"o1"}, []string{"A"})
}

// TestLargeInputsAreSplit: inputs that come together are more than one append may hold.
func TestLargeInputsAreSplit(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, patient(time.Hour))
	large := strings.Repeat("x", 700<<10)
	s := es.StreamID{Category: "order", Key: "o1"}
	for n, e := range []es.Event{
		events.OrderPlaced{OrderID: "o1", Number: large, Lines: []events.OrderLine{{Line: 1, SKU: "A", Quantity: 1}}},
		events.OrderCancelRequested{OrderID: "o1", Driver: large, N: 1},
	} {
		if err := w.put(s, es.Expected(n-1), e); err != nil {
			t.Fatal(err)
		}
	}
	o := w.alone(nil)
	if err := w.apply(o, partitionOf("o1")); err != nil {
		t.Fatal(err)
	}
	if n := w.count(es.StreamID{Category: "patience", Key: "o1"}, (machine.Stepped{}).EventType()); n != 2 {
		t.Errorf("%d events, want one for each input", n)
	}
	have, err := List(t.Context(), w.pool, Filter{Key: "o1"})
	if err != nil || len(have) != 1 || have[0].Revision != 1 || have[0].NextLook == nil || have[0].NextLook.After(time.Now()) {
		t.Errorf("%+v, %v", have, err)
	}
	w.receive("A", 5)
	w.start(nil)
	w.await("patience-o1", machine.Completed)
}
