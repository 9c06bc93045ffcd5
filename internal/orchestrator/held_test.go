package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

// keysOf gives keys whose partition is p.
func keysOf(p, n int, prefix string) (keys []string) {
	for i := 0; len(keys) < n; i++ {
		if key := fmt.Sprintf("%s%d", prefix, i); partitionOf(key) == p {
			keys = append(keys, key)
		}
	}
	return keys
}

// lockInstance holds an instance's row in a session of its own until release.
func (w *world) lockInstance(instance string) (release func()) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	tx, err := conn.Begin(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	tag, err := tx.Exec(w.t.Context(), "select 1 from daybook.saga_instance where instance = $1 for update", instance)
	if err != nil || tag.RowsAffected() != 1 {
		w.t.Fatalf("%d rows of %s are held: %v", tag.RowsAffected(), instance, err)
	}
	return func() {
		if err := tx.Rollback(context.WithoutCancel(w.t.Context())); err != nil {
			w.t.Error(err)
		}
	}
}

// passed waits until no saga has an event before it any more.
func (w *world) passed(r es.Record) {
	w.t.Helper()
	w.until(fmt.Sprintf("%s at %d to be passed", r.Type, r.Position), func() (bool, string) {
		var behind int
		err := w.pool.QueryRow(w.t.Context(), `select count(*) from daybook.saga_checkpoint where partition = $1 and position < $2`,
			topic.PartitionOf(r.Stream.Partition(), partitions), int64(r.Position)).Scan(&behind) //nolint:gosec // small
		return err == nil && behind == 0, fmt.Sprintf("%d behind, %v", behind, err)
	})
}

// A row that another session holds holds no other instance, of its partition or of another, while its own owner has to write it; and no
// other partition while its events cannot be passed. When it is free again its instance goes on.
func TestHeldRowHoldsNoOtherInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 100)
	held := keysOf(0, 1, "held")[0]
	w.start(nil)
	w.place(held, "tok_approve", "A")
	var intent es.Record
	w.until("the provider to be asked", func() (bool, string) {
		for _, r := range w.store.All(0) {
			if r.Stream.Key == held && r.Type == "payment.authorisation_requested" {
				intent = r
			}
		}
		return intent.Position > 0, ""
	})
	for _, r := range w.store.All(0) { // what it has heard of is passed, else a partition would wait for its row
		if r.Position < intent.Position && r.Relayed() {
			w.passed(r)
		}
	}
	answerOthers(w, held)
	release := w.lockInstance("placement-" + held)
	complete := func(round string, partitions ...int) {
		t.Helper()
		var keys []string
		for _, p := range partitions {
			keys = append(keys, keysOf(p, 5, round)...)
		}
		for _, key := range keys {
			w.place(key, "tok_approve", "A")
		}
		for _, key := range keys {
			w.await("placement-"+key, machine.Completed)
		}
	}
	// Its command is sent again every 50 ms or so, and its owner then writes when to look next.
	complete("first", 0, 1, 2)
	complete("second", 0, 1, 2)
	if err := w.answer(t.Context(), intent); err != nil {
		t.Fatal(err)
	}
	complete("third", 1, 2)
	release()
	w.await("placement-"+held, machine.Completed)
	complete("fourth", 0, 1, 2)
}

// answerOthers is a provider that says nothing of one order.
func answerOthers(w *world, but string) {
	ctx, end := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r, err := range w.store.Follow(ctx, 0) {
			if err != nil {
				return
			}
			if r.Position > 0 && r.Stream.Category == "payment" && r.Stream.Key != but {
				if err := w.answer(ctx, r); err != nil && ctx.Err() == nil {
					w.t.Errorf("provider: %v", err)
				}
			}
		}
	}()
	w.t.Cleanup(func() { end(); <-done })
}

// Instances that cannot be run, more of them than are read at once, hide no timer that is due after them.
func TestInstancesThatCannotBeRunHideNoTimer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{Authorise: 50 * time.Millisecond})
	w.receive("A", 5)
	w.store.Fail(memory.Faults{BeforeRead: func(_ context.Context, s es.StreamID, _ uint64) error {
		if strings.HasPrefix(s.Key, "unreadable") {
			return errors.New("this stream cannot be read")
		}
		return nil
	}})
	const many = maxDue + 200
	tag, err := w.pool.Exec(t.Context(), `
		insert into daybook.saga_instance (instance, saga, key, partition, revision, version, phase, step, failure, stuck, waiting, due_at, error, started_at, updated_at)
		select 'placement-unreadable' || n, 'placement', 'unreadable' || n, $2, 1, 1, 'doing', '', '', '', '[]', now() - interval '1 hour', '', now(), now()
		from generate_series(1, $1) n`, many, partitionOf("o1"))
	if err != nil || tag.RowsAffected() != many {
		t.Fatal(tag, err)
	}
	p := w.start(nil)
	w.place("o1", "tok_approve", "A")
	w.until("the timer to fire", func() (bool, string) { return w.count(thePayment, "payment.void_requested") == 1, "" })
	w.until("those that cannot be run to be named", func() (bool, string) {
		err := p.o.Health()
		return err != nil && strings.Contains(err.Error(), fmt.Sprintf("%d instances cannot be run", many)), fmt.Sprint(err)
	})
}

// A target of commands that hangs holds up the partition whose instances need it, and no other.
func TestATargetThatHangsHoldsNoOtherPartition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.receive("A", 100)
	w.receive("SLOW", 100)
	w.provider()
	var hanging atomic.Int32
	free := make(chan struct{})
	w.start(func(p *process, c *Config) {
		c.Workers = 2
		p.send = func(c es.Command) error {
			if c.Stream().Key == "SLOW" {
				hanging.Add(1)
				<-free
			}
			return nil
		}
	})
	slow, others := keysOf(0, 10, "slow"), append(keysOf(1, 3, "other"), keysOf(2, 3, "other")...)
	for _, key := range slow {
		w.place(key, "tok_approve", "SLOW")
	}
	w.until("all workers of a partition to hang", func() (bool, string) { return hanging.Load() == 2, "" })
	for _, key := range others {
		w.place(key, "tok_approve", "A")
	}
	for _, key := range others {
		w.await("placement-"+key, machine.Completed)
	}
	close(free)
	for _, key := range slow {
		w.await("placement-"+key, machine.Completed)
	}
}
