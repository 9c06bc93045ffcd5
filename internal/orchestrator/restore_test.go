package orchestrator

import (
	"fmt"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

// TestOwedAfterALoss: a process is gone before it has sent a command, and with it all that Postgres knew of sagas. The next process finds
// what is owed in the log and sends it, though nothing of the topic has come to it yet.
func TestOwedAfterALoss(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 5)
	w.provider()
	p := w.start(nil)
	w.place("waits", "tok_action", "A")
	w.place("ended", "tok_approve", "B") // which is out of stock
	w.await("placement-ended", machine.Compensated)
	w.until("an order to wait for its payment", func() (bool, string) {
		have, err := List(t.Context(), w.pool, Filter{Key: "waits"})
		return err == nil && len(have) == 1 && have[0].Step == "authorise payment" && len(have[0].Waiting) == 1 && have[0].Waiting[0].Kind == "timer", fmt.Sprint(have, err)
	})
	p.stop()
	p = w.start(crashAt(failpoint.EffectBefore, 1))
	w.place("owed", "tok_approve", "A")
	w.until("the crash", func() (bool, string) { return p.dead.Load(), "" })
	p.stop()
	if _, err := w.pool.Exec(t.Context(), "truncate daybook.saga_instance, daybook.saga_checkpoint"); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	o := w.alone(nil)
	if err := o.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	have, err := List(t.Context(), w.pool, Filter{Ended: true})
	if err != nil || len(have) != 2 || have[0].Key != "owed" || have[1].Key != "waits" {
		t.Fatalf("rows %+v, %v; want those of the two placements that have not ended", have, err)
	}
	owed, waits := have[0], have[1]
	if owed.NextLook == nil || owed.NextLook.After(before) || owed.Phase != machine.Doing || owed.Version != 1 {
		t.Errorf("what is owed: %+v", owed)
	}
	if waits.NextLook == nil || waits.NextLook.Before(before) {
		t.Errorf("what waits for a timer: %+v", waits)
	}
	deaf := w.start(func(p *process, _ *Config) { p.deaf.Store(true) })
	w.until("the command to be sent", func() (bool, string) {
		return w.said("placement-owed", "done") >= 2, "" // the order, and its stock
	})
	deaf.stop()
	w.start(nil)
	w.await("placement-owed", machine.Completed)
}

// TestLossOfNothing: with its checkpoints in place a process reads nothing of the log at its start.
func TestLossOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	if err := w.alone(nil).Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.place("o1", "tok_approve", "A")
	if err := w.apply(w.alone(nil), partitionOf("o1")); err != nil {
		t.Fatal(err)
	}
	lost, _, err := w.alone(nil).lost(t.Context())
	if err != nil || len(lost) > 0 {
		t.Errorf("lost are %v, %v", lost, err)
	}
}
