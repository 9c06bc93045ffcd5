package orchestrator

import (
	"fmt"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

// TestThroughput places many orders at once on a memory store and a real database, and prints the rate.
func TestThroughput(t *testing.T) {
	w := newWorld(t, sagas.Deadlines{})
	const n = 1000
	for i := range 20 {
		w.receive(fmt.Sprintf("S%d", i), 10*n)
	}
	w.provider()
	w.start(nil)
	began := time.Now()
	for i := range n {
		w.place(fmt.Sprintf("o%d", i), "tok_approve", fmt.Sprintf("S%d", i%20), fmt.Sprintf("S%d", (i+7)%20))
	}
	placed := time.Since(began)
	w.until("all orders to be confirmed", func() (bool, string) {
		var done int
		err := w.pool.QueryRow(t.Context(), `select count(*) from daybook.saga_instance where phase = $1 and due_at is null`, machine.Completed).Scan(&done)
		return err == nil && done == n, fmt.Sprint(done, err)
	})
	took := time.Since(began)
	t.Logf("%d orders of 2 lines placed in %v, confirmed in %v: %.0f orders/s", n, placed, took, n/took.Seconds())
}
