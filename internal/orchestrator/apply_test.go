package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

// alone is an orchestrator that is fed by hand, and runs no effects.
func (w *world) alone(set func(*Config)) *Orchestrator {
	w.t.Helper()
	cfg := Config{
		Store: w.store, Handler: w.handler, Catalog: w.catalog, Pool: w.pool, Sagas: w.sagas, First: w.first,
		Partitions: partitions, Incarnation: "memory", Logger: slog.New(slog.DiscardHandler),
	}
	if set != nil {
		set(&cfg)
	}
	o, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// of gives the events of a partition.
func (w *world) of(partition int) (out []es.Record) {
	for _, r := range w.store.All(0) {
		if topic.PartitionOf(r.Stream.Partition(), partitions) == partition {
			out = append(out, r)
		}
	}
	return out
}

func partitionOf(key string) int { return topic.PartitionOf(key, partitions) }

func (w *world) apply(o *Orchestrator, partition int) error {
	w.t.Helper()
	at, err := o.Checkpoints(w.t.Context(), []int{partition})
	if err != nil {
		return err
	}
	var batch []es.Record
	for _, r := range w.of(partition) {
		if r.Position > at[partition] {
			batch = append(batch, r)
		}
	}
	return o.Apply(w.t.Context(), partition, at[partition], batch)
}

func TestZombieIsFenced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	zombie, successor := w.alone(nil), w.alone(nil)
	p := partitionOf("o1")
	at, err := zombie.Checkpoints(t.Context(), []int{p})
	if err != nil {
		t.Fatal(err)
	}
	w.place("o1", "tok_approve", "A")
	batch := w.of(p)
	batch = batch[len(batch)-1:]
	if err := w.apply(successor, p); err != nil {
		t.Fatal(err)
	}
	w.place("o1x", "tok_approve", "A")
	if err := zombie.Apply(t.Context(), p, at[p], batch); !errors.Is(err, feed.ErrFenced) {
		t.Errorf("the zombie got %v", err)
	}
	if n := w.said("placement-o1", "started"); n != 1 {
		t.Errorf("started %d times", n)
	}
	if err := zombie.Apply(t.Context(), p, at[p]+1000, batch); !errors.Is(err, feed.ErrFenced) {
		t.Errorf("from another checkpoint: %v", err)
	}
}

// TestRepeatedInputIsWaitedFor: the stream holds the input, but the row was never written: a crash came between.
func TestRepeatedInputIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	p := partitionOf("o1")
	w.place("o1", "tok_approve", "A")
	crashed := w.alone(nil)
	e := crashed.take(es.StreamID{Category: "placement", Key: "o1"})
	batch := w.of(p)
	rec := batch[len(batch)-1]
	ds, err := crashed.deliveries(rec, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := crashed.step(t.Context(), e, ds...); err != nil {
		t.Fatal(err)
	}
	before := len(w.store.All(0))
	if err := w.apply(w.alone(nil), p); err != nil {
		t.Fatal(err)
	}
	if after := len(w.store.All(0)); after != before {
		t.Errorf("the repeated input made %d events", after-before)
	}
	have, err := List(t.Context(), w.pool, Filter{})
	if err != nil || len(have) != 1 || len(have[0].Waiting) != 2 || have[0].NextLook == nil {
		t.Errorf("%+v %v", have, err)
	}
}

// TestOlderRowDoesNotReplace a newer one.
func TestOlderRowDoesNotReplace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.place("o1", "tok_approve", "A")
	p := partitionOf("o1")
	o := w.alone(nil)
	if err := w.apply(o, p); err != nil {
		t.Fatal(err)
	}
	e := o.take(es.StreamID{Category: "placement", Key: "o1"})
	old := o.rowOf(e)
	w.cancel("o1")
	if err := w.apply(o, p); err != nil {
		t.Fatal(err)
	}
	if err := o.saver.save(t.Context(), saving{rows: []row{old}}); err != nil {
		t.Fatal(err)
	}
	have, err := List(t.Context(), w.pool, Filter{Key: "o1"})
	if err != nil || len(have) != 1 || have[0].Phase != machine.Undo || have[0].Revision != e.next-1 {
		t.Errorf("%+v %v", have, err)
	}
}

func TestMissingInstanceIsRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	p := partitionOf("A")
	o := w.alone(nil)
	if _, err := o.Checkpoints(t.Context(), []int{p}); err != nil {
		t.Fatal(err)
	}
	answer := func(instance string) error {
		s := es.StreamID{Category: "stock", Key: "A"}
		typ, schema, data, _ := w.catalog.Encode(events.StockReserved{SKU: "A"})
		meta := fmt.Sprintf(`{"schema":%d,"effect":{"id":%q,"instance":%q}}`, schema, es.CommandID("", instance, "", ""), instance)
		at := es.Expected(len(w.types(s))) - 1
		if _, err := w.store.Append(t.Context(), s, at, []es.Proposed{{ID: es.CommandID("", "", instance, ""), Type: typ, Data: data, Meta: []byte(meta)}}); err != nil {
			return err
		}
		return w.apply(o, p)
	}
	if err := answer("returning-o1.2"); err != nil {
		t.Errorf("an effect of a saga that is not ours: %v", err)
	}
	if err := answer("placement-nowhere"); !errors.Is(err, errNoInstance) {
		t.Errorf("an effect of no instance: %v", err)
	}
	if err := w.apply(o, p); !errors.Is(err, errNoInstance) {
		t.Errorf("again: %v", err)
	}
}

// TestStaleInstanceIsReadAgain: another process went on with the instance and issued an effect; its answer comes here.
func TestStaleInstanceIsReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	here, there := partitionOf("o1"), -1
	sku := ""
	for i := 0; there < 0; i++ {
		if sku = fmt.Sprintf("A%d", i); partitionOf(sku) != here {
			there = partitionOf(sku)
		}
	}
	w.receive(sku, 5)
	w.place("o1", "tok_approve", sku)
	x, y, z := w.alone(nil), w.alone(nil), w.alone(nil)
	send := func(o *Orchestrator, command string) {
		t.Helper()
		e := o.take(es.StreamID{Category: "placement", Key: "o1"})
		defer o.leave(e)
		for _, f := range e.run.Effects() {
			if f.Command.CommandType() != command {
				continue
			}
			if _, err := w.handler.Send(t.Context(), f.Command, f.Call(e.id)); err != nil {
				t.Fatal(err)
			}
			return
		}
		t.Fatalf("the instance owes no %s: %v", command, e.run.Effects())
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.apply(x, here))
	if err := z.load(t.Context(), z.take(es.StreamID{Category: "placement", Key: "o1"})); err != nil {
		t.Fatal(err)
	}
	send(x, "stock.reserve")
	must(w.apply(y, there))                                                                         // the reservation's answer comes through the SKU's partition
	if _, err := x.run(t.Context(), es.StreamID{Category: "placement", Key: "o1"}, 8); err != nil { // as the row says
		t.Fatal(err)
	}
	if n := w.count(thePayment, "payment.authorisation_requested"); n != 1 {
		t.Fatalf("%d authorisations were asked for", n)
	}
	must(w.answer(t.Context(), w.asked()))
	must(w.apply(z, here))
	have, err := List(t.Context(), w.pool, Filter{Key: "o1"})
	if err != nil || len(have) != 1 || have[0].Step != "confirm order" {
		t.Errorf("%+v %v", have, err)
	}
}

func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	refused := func(says string, change func(*Config)) {
		t.Helper()
		o := w.alone(change)
		_, read := o.Checkpoints(t.Context(), []int{0})
		for doing, err := range map[string]error{"start": o.Prepare(t.Context()), "read": read} {
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "daybook recover") {
				t.Errorf("%s: %v, want %q", doing, err, says)
			}
		}
	}
	refused("is of incarnation memory of the event store, this is incarnation another", func(c *Config) { c.Incarnation = "another" })
	refused("counts 3 partitions, this installation 12", func(c *Config) { c.Partitions = 12 })
	if _, err := w.pool.Exec(t.Context(), "update daybook.saga_checkpoint set filter = filter + 1 where partition = 0"); err != nil {
		t.Fatal(err)
	}
	refused("under filter 2 of what is relayed, this program has filter 1", nil)
	if _, err := New(Config{Store: w.store, Handler: w.handler, Catalog: w.catalog, Pool: w.pool, Sagas: w.sagas, Partitions: 1}); err == nil {
		t.Error("sagas that were not deployed run")
	}
}

func TestInstanceOfAnotherVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.place("o1", "tok_approve", "A")
	if err := w.put(es.StreamID{Category: "placement", Key: "o1"}, es.NoStream, machine.Stepped{Taken: []machine.Taken{{Started: &machine.Started{Saga: "placement", Version: 7}}}}); err != nil {
		t.Fatal(err)
	}
	if err := w.apply(w.alone(nil), partitionOf("o1")); err == nil || !strings.Contains(err.Error(), "version 7 of saga placement, which this program does not have") {
		t.Errorf("%v", err)
	}
}

// TestFirstPositions: a saga does not act on what was before its deployment, another one of the same process does.
func TestFirstPositions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 5)
	w.provider()
	w.place("old", "tok_approve", "A")
	end, err := w.store.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.first["placement"] = end
	if err := checkpoint.Forget(t.Context(), w.pool, checkpoint.Saga); err != nil { // as if no process had been started yet
		t.Fatal(err)
	}
	w.start(nil)
	w.place("new", "tok_approve", "A")
	w.await("placement-new", machine.Completed)
	if s := w.order("old").Status; s != order.Placed {
		t.Errorf("an order of before the deployment is %s", s)
	}
	w.cancel("old") // its driver is a placement that never was
	w.cancel("new")
	w.await("cancellation-new.1", machine.Completed)
	if n := len(w.types(es.StreamID{Category: "placement", Key: "old"})); n != 0 {
		t.Errorf("%d events of a placement that never was", n)
	}
}

// TestNotifyWakes: each partition belongs to another process, none of which looks by itself.
func TestNotifyWakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 50)
	w.provider()
	ctx, end := context.WithCancel(t.Context())
	listener := postgres.Listen(ctx, w.url, nil)
	t.Cleanup(func() { end(); <-listener.Done() })
	for i := range partitions {
		w.start(func(_ *process, c *Config) { c.Poll, c.Wake = time.Hour, listener.Subscribe }, i)
	}
	for i := range 6 {
		w.place(fmt.Sprintf("o%d", i), "tok_approve", "A")
	}
	for i := range 6 {
		w.await(fmt.Sprintf("placement-o%d", i), machine.Completed)
	}
}
