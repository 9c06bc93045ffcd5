package orchestrator

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

func TestOrderIsPlaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 5)
	w.provider()
	w.start(nil)
	w.place("o1", "tok_approve", "A", "B")
	w.place("o2", "tok_approve", "A", "A")
	w.place("o3", "tok_decline", "A")
	w.await("placement-o1", machine.Compensated) // B is out of stock
	w.await("placement-o2", machine.Completed)
	w.await("placement-o3", machine.Compensated)
	w.conserved([]string{"o1", "o2", "o3"}, []string{"A", "B"})
	w.cancel("o2")
	w.await("cancellation-o2.1", machine.Completed)
	w.conserved([]string{"o1", "o2", "o3"}, []string{"A", "B"})
	if s := w.order("o2").Status; s != order.Cancelled {
		t.Errorf("o2 is %s", s)
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{Authorise: 100 * time.Millisecond, Action: 200 * time.Millisecond})
	w.receive("A", 5)
	w.provider()
	w.start(nil)
	w.place("late", "tok_late", "A")
	w.place("silent", "tok_silent", "A")
	w.place("action", "tok_action", "A")
	for _, id := range []string{"late", "silent", "action"} {
		w.await("placement-"+id, machine.Compensated)
		if s := w.order(id).Status; s != order.Rejected {
			t.Errorf("%s is %s", id, s)
		}
	}
	w.conserved([]string{"late", "silent", "action"}, []string{"A"})
}

// TestFewEvents: a placement of several lines keeps at most five events of its own, each of one append.
func TestFewEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 10)
	w.receive("B", 10)
	w.receive("C", 10)
	w.provider()
	w.start(nil)
	w.place("o1", "tok_approve", "A", "B", "C")
	w.await("placement-o1", machine.Completed)
	types := w.types(es.StreamID{Category: "placement", Key: "o1"})
	if len(types) > 5 {
		t.Errorf("%d events of a placement", len(types))
	}
	if n := w.count(es.StreamID{Category: "placement", Key: "o1"}, (machine.Stepped{}).EventType()); n != len(types) {
		t.Errorf("%d of %q are of the saga", n, types)
	}
}
