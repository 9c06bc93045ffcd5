package eventserver_test

import (
	"fmt"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

func TestSubscribeToAll(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	clienttest.Append(t, c, "a", esdb.NoStream{}, clienttest.Events(1000)...)
	sub, err := c.SubscribeToAll(clienttest.Within(t), esdb.SubscribeToAllOptions{From: esdb.Position{Commit: 5, Prepare: 5}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	want := uint64(6)
	for ; want <= 1001; want++ {
		if e := clienttest.Next(t, sub); e.Event.Position.Commit != want {
			t.Fatalf("got %d, want %d", e.Event.Position.Commit, want)
		}
	}
	if e := sub.Recv(); e.CaughtUp == nil {
		t.Fatalf("%+v, want caught up", e)
	}
	for i := range 20 {
		clienttest.Append(t, c, fmt.Sprintf("live-%d", i), esdb.NoStream{}, clienttest.Event(i))
		if e := clienttest.Next(t, sub); e.Event.Position.Commit != want {
			t.Fatalf("got %d, want %d", e.Event.Position.Commit, want)
		}
		want++
	}
}

func TestFilteredSubscription(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	for i := range 100 {
		clienttest.Append(t, c, fmt.Sprintf("order-%d", i), esdb.NoStream{}, clienttest.Event(i))
		clienttest.Append(t, c, fmt.Sprintf("stock-%d", i), esdb.NoStream{}, clienttest.Events(3)...)
	}
	sub, err := c.SubscribeToAll(clienttest.Within(t), esdb.SubscribeToAllOptions{From: esdb.Start{}, MaxSearchWindow: 16, CheckpointInterval: 2,
		Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"order-"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	orders, checkpoints := 0, 0
	var last, lastCheckpoint uint64
	for caughtUp := false; !caughtUp; {
		switch e := sub.Recv(); {
		case e.EventAppeared != nil:
			if got := e.EventAppeared.Event.StreamID; got != fmt.Sprintf("order-%d", orders) {
				t.Fatalf("got %s, want order-%d", got, orders)
			}
			orders++
			last = e.EventAppeared.Event.Position.Commit
		case e.CheckPointReached != nil:
			checkpoints++
			if lastCheckpoint = e.CheckPointReached.Commit; lastCheckpoint < last {
				t.Errorf("checkpoint %d behind event %d", lastCheckpoint, last)
			}
		case e.CaughtUp != nil:
			caughtUp = true
		default:
			t.Fatalf("%+v", e)
		}
	}
	if orders != 100 || checkpoints != 401/32+1 || lastCheckpoint != 401 {
		t.Errorf("%d orders, %d checkpoints, the last at %d; want 100, %d, 401", orders, checkpoints, lastCheckpoint, 401/32+1)
	}
	clienttest.Append(t, c, "stock-x", esdb.NoStream{}, clienttest.Events(31)...)
	clienttest.Append(t, c, "order-x", esdb.NoStream{}, clienttest.Event(0))
	if e := sub.Recv(); e.EventAppeared == nil || e.EventAppeared.Event.StreamID != "order-x" {
		t.Errorf("live: %+v", e)
	}
	if e := sub.Recv(); e.CheckPointReached == nil || e.CheckPointReached.Commit != 433 {
		t.Errorf("live: %+v, want a checkpoint at 433", e)
	}
}

// A filtered subscription that falls behind names the place up to which it has looked, and names no place twice.
func TestFilteredSubscriptionFallsBehind(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	sub, err := c.SubscribeToAll(clienttest.Within(t), esdb.SubscribeToAllOptions{From: esdb.Start{}, MaxSearchWindow: 10_000, CheckpointInterval: 10,
		Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"order-"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	var last, checkpoint uint64
	caughtUp := func() (fell bool) {
		for {
			switch e := sub.Recv(); {
			case e.EventAppeared != nil:
				last = e.EventAppeared.Event.Position.Commit
			case e.CheckPointReached != nil:
				if e.CheckPointReached.Commit < last || e.CheckPointReached.Commit <= checkpoint {
					t.Errorf("checkpoint %d behind event %d and checkpoint %d", e.CheckPointReached.Commit, last, checkpoint)
				}
				checkpoint = e.CheckPointReached.Commit
			case e.CaughtUp != nil:
				return fell
			case e.FellBehind != nil:
				fell = true
				if e := sub.Recv(); e.CheckPointReached == nil || e.CheckPointReached.Commit < last {
					t.Errorf("fell behind at event %d, and is sent %+v", last, e)
				} else {
					checkpoint = e.CheckPointReached.Commit
				}
			default:
				t.Fatalf("%+v", e)
			}
		}
	}
	caughtUp()
	clienttest.Append(t, c, "order-many", esdb.NoStream{}, clienttest.Events(1000)...) // more than a page
	if !caughtUp() || checkpoint != 1001 {
		t.Errorf("it did not fall behind, or ends at checkpoint %d", checkpoint)
	}
}
