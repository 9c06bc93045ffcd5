package sagas_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

var (
	seeds = flag.Uint64("seeds", 2000, "random histories to try")
	only  = flag.Uint64("seed", 0, "try this one, and tell it")
)

// TestAnyOrder: whatever order answers, losses, repeats, timeouts, crashes and cancellations come in, every order ends
// and money and stock are conserved; and no stock is given back while it is unknown whether the card was charged.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	machines, err := machine.Compile(sagas.All(deadlines)...)
	if err != nil {
		t.Fatal(err)
	}
	ends := map[order.Status]int{}
	began := map[string]int{}
	moves := 0
	for seed := uint64(1); seed <= *seeds; seed++ {
		if *only > 0 {
			seed = *only
		}
		w := newWorld(seed, c, machines)
		moves += w.play()
		for _, id := range w.orders {
			ends[load[order.Order](w, id).Status]++
		}
		for _, name := range w.names {
			began[w.runs[name].m.Name+" "+string(w.runs[name].now.Status().Failure)]++
		}
		if len(w.trouble) > 0 || *only > 0 {
			t.Fatalf("seed %d: %v\n%s", seed, w.trouble, w.history())
		}
	}
	t.Logf("%d histories, %d moves: %v; %v", *seeds, moves, ends, began)
	for _, s := range []order.Status{order.Confirmed, order.Rejected, order.Cancelled} {
		if ends[s] == 0 {
			t.Errorf("no history ends %s", s)
		}
	}
	for _, s := range []string{"placement cancelled", "placement out_of_stock", "placement payment_declined", "placement payment_timed_out", "placement reservation_timed_out", "placement cancel_requested", "cancellation "} {
		if began[s] == 0 {
			t.Errorf("no history has %q", s)
		}
	}
}

func (w *world) play() (moves int) {
	for i := range 1 + w.r.IntN(3) {
		w.place(fmt.Sprintf("o%d", i+1))
	}
	for range 40 + w.r.IntN(120) {
		w.route()
		w.move()
		moves++
	}
	for range 200 { // everything heals
		w.route()
		before := w.seen
		w.settle()
		w.route()
		if w.seen == before && w.quiet() {
			break
		}
		moves++
	}
	w.atRest()
	return moves
}

// move makes one random move.
func (w *world) move() {
	name := ""
	if len(w.names) > 0 {
		name = w.names[w.r.IntN(len(w.names))]
	}
	run := w.runs[name]
	switch k := w.r.IntN(20); {
	case k == 0:
		if w.r.IntN(w.patience) > 0 {
			return
		}
		id := w.orders[w.r.IntN(len(w.orders))]
		_, _ = es.Handle(context.Background(), w.handler, order.RequestCancel{OrderID: id}, es.Call{})
	case k <= 2:
		w.now = w.now.Add(time.Duration(w.r.IntN(20)) * time.Second)
	case k <= 5 && len(w.asked) > 0:
		w.provider(w.charges[w.asked[w.r.IntN(len(w.asked))]], false)
	case k <= 8 && len(w.voids) > 0:
		w.void(w.voids[w.r.IntN(len(w.voids))])
	case run == nil:
	case k <= 9:
		w.timers(name)
	case k <= 10:
		w.crash(name)
	case k <= 15 && len(run.inbox) > 0: // any of those that have arrived; it may come again
		at := 0
		if len(run.stored) > 0 {
			at = w.r.IntN(len(run.inbox))
		}
		rec := run.inbox[at]
		w.hear(name, rec)
		if w.r.IntN(4) > 0 {
			run.inbox = slices.Delete(run.inbox, at, at+1)
			run.fed = append(run.fed, rec)
		}
	case k <= 16 && len(run.fed) > 0:
		w.hear(name, run.fed[w.r.IntN(len(run.fed))])
	default:
		if owed := run.now.Effects(); len(owed) > 0 {
			w.send(name, owed[w.r.IntN(len(owed))], w.r.IntN(2) == 0)
		}
	}
}

// settle lets everything go on, fairly.
func (w *world) settle() {
	w.now = w.now.Add(20 * time.Second)
	for _, key := range w.asked {
		w.provider(w.charges[key], true)
	}
	for _, v := range w.voids {
		w.void(v)
	}
	w.route()
	for _, name := range slices.Clone(w.names) {
		run := w.runs[name]
		for len(run.inbox) > 0 {
			rec := run.inbox[0]
			run.inbox = run.inbox[1:]
			w.hear(name, rec)
		}
		for _, f := range run.now.Effects() {
			if !f.NotBefore.After(w.now) {
				w.send(name, f, true)
			}
		}
		w.timers(name)
		w.crash(name)
	}
}

func (w *world) quiet() bool {
	for _, c := range w.charges {
		if !c.over {
			return false
		}
	}
	for _, name := range w.names {
		run := w.runs[name]
		if len(run.inbox)+len(run.now.Effects())+len(run.now.Timers()) > 0 {
			return false
		}
	}
	return true
}
