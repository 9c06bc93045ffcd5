package orchestrator

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

// TestWhatIsOwedIsWrittenWithTheCheckpoint: a process has heard an order, moved its checkpoint, and is gone before it has sent
// anything. The event will not come again: what Postgres has must be enough for the next process to go on.
func TestWhatIsOwedIsWrittenWithTheCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.provider()
	w.receive("A", 5)
	w.place("o1", "tok_approve", "A")
	p := partitionOf("o1")
	if err := w.apply(w.alone(nil), p); err != nil {
		t.Fatal(err)
	}
	next := w.alone(nil)
	at, err := next.Checkpoints(t.Context(), []int{p})
	if err != nil {
		t.Fatal(err)
	}
	heard := uint64(0)
	for _, r := range w.of(p) {
		if r.Type == "order.placed" {
			heard = r.Position
		}
	}
	if at[p] < heard {
		t.Fatalf("the checkpoint is at %d, the order is at %d: the test proves nothing", at[p], heard)
	}
	owed, err := List(t.Context(), w.pool, Filter{Key: "o1"})
	if err != nil || len(owed) != 1 || owed[0].NextLook == nil || owed[0].NextLook.After(time.Now().Add(time.Second)) {
		t.Fatalf("the order is past the checkpoint, and what is due for it is %+v, %v", owed, err)
	}
	commands := 0
	for _, o := range owed[0].Waiting {
		if o.Kind == "command" && o.Command == "stock.reserve" {
			commands++
		}
	}
	if commands != 1 {
		t.Errorf("%d reservations are waited for, want 1: %+v", commands, owed[0].Waiting)
	}
	w.start(nil)
	w.await("placement-o1", machine.Completed)
	w.conserved([]string{"o1"}, []string{"A"})
}
