package orchestrator

import (
	"testing"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

// Instances that are not in use are kept within their bytes. One that has left is read again, and goes on.
func TestInstancesAreKeptWithinTheirBytes(t *testing.T) {
	t.Parallel()
	const hold, orders = 30 << 10, 60
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", orders)
	keys := keysOf(partitionOf("A"), orders, "o")
	for _, key := range keys {
		w.place(key, "tok_approve", "A")
	}
	o := w.alone(func(c *Config) { c.Hold = hold })
	if err := w.apply(o, partitionOf("A")); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if _, err := o.run(t.Context(), es.StreamID{Category: "placement", Key: key}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.apply(o, partitionOf("A")); err != nil { // with the answers of the stock
		t.Fatal(err)
	}
	asked := 0
	for _, key := range keys {
		asked += w.count(es.StreamID{Category: "payment", Key: key}, "payment.authorisation_requested")
	}
	if asked != orders {
		t.Errorf("%d of %d instances went on to the payment", asked, orders)
	}
	n, inUse, bytes := o.instances.Kept()
	if n == 0 || n >= orders || inUse != 0 || bytes > hold {
		t.Errorf("of %d instances %d are kept, %d in use, with %d bytes of %d", orders, n, inUse, bytes, hold)
	}
	e := o.take(es.StreamID{Category: "placement", Key: keys[0]})
	defer o.leave(e)
	if e.mu.Lock(); e.run == nil {
		if err := o.load(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	defer e.mu.Unlock()
	if phase := e.run.Status().Phase; phase != machine.Doing {
		t.Errorf("the first instance, read again, is %q", phase)
	}
}
