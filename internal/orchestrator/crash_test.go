package orchestrator

import (
	"fmt"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

// TestCrash kills a process at every named point, at its first, second, … passing, and starts another, once with the
// database as it was and once with an empty one. Every order must end, with money and stock conserved.
func TestCrash(t *testing.T) {
	t.Parallel()
	points := []failpoint.Name{
		failpoint.SagaEventBefore, failpoint.SagaEventAfter, failpoint.SagaWaitingBefore, failpoint.SagaWaitingAfter,
		failpoint.EffectBefore, failpoint.EffectAfter, failpoint.UndoBefore, failpoint.UndoAfter,
	}
	for _, point := range points {
		for n := int64(1); n <= 5; n++ {
			for _, lost := range []bool{false, true} {
				if lost && n%2 == 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d/lost=%t", point, n, lost), func(t *testing.T) {
					t.Parallel()
					crash(t, point, n, lost)
				})
			}
		}
	}
}

func crash(t *testing.T, point failpoint.Name, n int64, lost bool) {
	t.Helper()
	w := newWorld(t, sagas.Deadlines{Authorise: 500 * time.Millisecond})
	w.receive("A", 1000)
	w.receive("B", 1000)
	w.provider()
	p := w.start(crashAt(point, n))
	var ids, completed, compensated []string
	// How often a round of orders passes the point depends on what goes together. Rounds follow until the process has died.
	for round := 0; !p.dead.Load(); round++ {
		id := func(kind string) string {
			id := fmt.Sprintf("%s-%d", kind, round)
			ids = append(ids, id)
			return id
		}
		ok, short, declined, cancelled := id("ok"), id("short"), id("declined"), id("cancel")
		w.place(ok, "tok_approve", "A", "B")
		w.place(short, "tok_approve", "A", "C")
		w.place(declined, "tok_decline", "A")
		w.place(id("late"), "tok_late", "A", "B")
		w.place(cancelled, "tok_action", "B")
		w.cancel(cancelled)
		completed, compensated = append(completed, ok), append(compensated, short, declined, cancelled)
		for _, id := range ids[len(ids)-5:] {
			w.until("the crash, or the end of "+id, func() (bool, string) {
				ended, have := w.atRest(id)
				return p.dead.Load() || ended, have
			})
		}
	}
	p.stop()
	if lost {
		if _, err := w.pool.Exec(t.Context(), "truncate daybook.saga_instance, daybook.saga_checkpoint"); err != nil {
			t.Fatal(err)
		}
	}
	w.start(nil)
	for _, id := range completed {
		w.await("placement-"+id, machine.Completed)
	}
	for _, id := range compensated {
		w.await("placement-"+id, machine.Compensated)
	}
	w.conservedSoon(ids, []string{"A", "B", "C"}) // the late yes may have come while no process was there: then it counts
}

// TestTwoProcesses feeds the same partitions to two processes, as a zombie and its successor are.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 100)
	w.receive("B", 10)
	w.provider()
	w.start(nil)
	w.start(nil)
	var ids []string
	for i := range 30 {
		id := fmt.Sprintf("o%d", i)
		ids = append(ids, id)
		w.place(id, []string{"tok_approve", "tok_decline"}[i%2], "A", "B")
	}
	for _, id := range ids {
		w.until(id+" to end", func() (bool, string) {
			s := w.order(id).Status
			return s == "confirmed" || s == "rejected", string(s)
		})
	}
	for _, id := range ids {
		w.until("placement-"+id+" to be at rest", func() (bool, string) {
			var phase machine.Phase
			var due *time.Time
			err := w.pool.QueryRow(t.Context(), `select phase, due_at from daybook.saga_instance where instance = $1`, "placement-"+id).Scan(&phase, &due)
			return err == nil && phase.Over() && due == nil, fmt.Sprint(phase, due, err)
		})
	}
	w.conserved(ids, []string{"A", "B"})
}

// TestPartitionsApart gives each partition to a process of its own: what one hears concerns instances whose commands
// another sends.
func TestPartitionsApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 100)
	w.receive("B", 100)
	w.provider()
	for i := range partitions {
		w.start(nil, i)
	}
	var ids []string
	for i := range 12 {
		id := fmt.Sprintf("o%d", i)
		ids = append(ids, id)
		w.place(id, "tok_approve", "A", "B")
	}
	for _, id := range ids {
		w.await("placement-"+id, machine.Completed)
	}
	w.conserved(ids, []string{"A", "B"})
}
