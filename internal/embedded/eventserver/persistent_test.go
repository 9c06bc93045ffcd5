package eventserver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/embedded/eventserver"
)

func group(t *testing.T, c *esdb.Client, stream string, from esdb.StreamPosition, change ...func(*esdb.PersistentSubscriptionSettings)) {
	t.Helper()
	set := esdb.SubscriptionSettingsDefault()
	for _, f := range change {
		f(&set)
	}
	err := c.CreatePersistentSubscription(within(t), stream, "g", esdb.PersistentStreamSubscriptionOptions{Settings: &set, StartFrom: from})
	if err != nil {
		t.Fatal(err)
	}
}

func consume(t *testing.T, c *esdb.Client, stream string, buffer uint32) *esdb.PersistentSubscription {
	t.Helper()
	sub, err := c.SubscribeToPersistentSubscription(within(t), stream, "g", esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: buffer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Close() })
	return sub
}

func delivered(t *testing.T, sub *esdb.PersistentSubscription) (*esdb.ResolvedEvent, int) {
	t.Helper()
	e := sub.Recv()
	if e.EventAppeared == nil {
		t.Fatalf("%+v", e)
	}
	return e.EventAppeared.Event, e.EventAppeared.RetryCount
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPersistentFromPlaces(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	for _, x := range []struct {
		from  esdb.StreamPosition
		first uint64
	}{{esdb.Start{}, 0}, {esdb.Revision(3), 3}, {esdb.End{}, 5}, {esdb.Revision(6), 6}} {
		stream := "s-" + uuid.NewString()
		appendTo(t, c, stream, esdb.NoStream{}, events(5)...)
		group(t, c, stream, x.from)
		appendTo(t, c, stream, esdb.Revision(4), events(3)...)
		sub := consume(t, c, stream, 10)
		for n := x.first; n < 8; n++ {
			e, _ := delivered(t, sub)
			if e.Event.EventNumber != n {
				t.Errorf("from %#v: got %d, want %d", x.from, e.Event.EventNumber, n)
			}
			must(t, sub.Ack(e))
		}
	}
}

// TestPersistentBuffer: no more is in flight than the client allows, and a stream longer than all buffers is
// delivered in order and whole.
func TestPersistentBuffer(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	const n = 2000
	appendTo(t, c, "s", esdb.NoStream{}, events(n)...)
	group(t, c, "s", esdb.Start{})
	sub := consume(t, c, "s", 7)
	var held []*esdb.ResolvedEvent
	for i := range n {
		e, retries := delivered(t, sub)
		if e.Event.EventNumber != uint64(i) || retries != 0 {
			t.Fatalf("got %d (retried %d), want %d", e.Event.EventNumber, retries, i)
		}
		if held = append(held, e); len(held) == 7 {
			info, err := c.GetPersistentSubscriptionInfo(within(t), "s", "g", esdb.GetPersistentSubscriptionOptions{})
			must(t, err)
			if got := info.Connections[0].InFlightMessages; got > 7 {
				t.Fatalf("%d in flight", got)
			}
			must(t, sub.Ack(held...))
			held = held[:0]
		}
	}
}

func TestPersistentNack(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connect(t, s)
	appendTo(t, c, "s", esdb.NoStream{}, events(4)...)
	group(t, c, "s", esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.MaxRetryCount = 2 })
	sub := consume(t, c, "s", 1)
	// Event 0: retried until it is parked. 1: skipped. 2: parked at once. 3: done.
	for try := range 3 {
		e, retries := delivered(t, sub)
		if e.Event.EventNumber != 0 || retries != try {
			t.Fatalf("try %d: got %d, retried %d", try, e.Event.EventNumber, retries)
		}
		must(t, sub.Nack("again", esdb.NackActionRetry, e))
	}
	for n, action := range []esdb.NackAction{esdb.NackActionSkip, esdb.NackActionPark} {
		e, _ := delivered(t, sub)
		if e.Event.EventNumber != uint64(n+1) {
			t.Fatalf("got %d, want %d", e.Event.EventNumber, n+1)
		}
		must(t, sub.Nack("no", action, e))
	}
	last, _ := delivered(t, sub)
	must(t, sub.Ack(last))
	parked := waitParked(t, c, "s", 2)
	if parked[0].Event.EventNumber != 0 || parked[1].Event.EventNumber != 2 {
		t.Fatalf("parked are %d and %d", parked[0].Event.EventNumber, parked[1].Event.EventNumber)
	}
	// Replayed, one of them is parked again.
	must(t, c.ReplayParkedMessages(within(t), "s", "g", esdb.ReplayParkedMessagesOptions{}))
	e, _ := delivered(t, sub)
	must(t, sub.Ack(e))
	if e, _ = delivered(t, sub); e.Event.EventNumber != 2 {
		t.Fatalf("replayed %d, want 2", e.Event.EventNumber)
	}
	must(t, sub.Nack("still no", esdb.NackActionPark, e))
	if parked = waitParked(t, c, "s", 1); parked[0].Event.EventNumber != 2 {
		t.Errorf("parked is %d", parked[0].Event.EventNumber)
	}
	must(t, c.ReplayParkedMessages(within(t), "s", "g", esdb.ReplayParkedMessagesOptions{}))
	e, _ = delivered(t, sub)
	must(t, sub.Ack(e))
	waitParked(t, c, "s", 0)
}

// waitParked waits until so many messages are parked and gives what they link to.
func waitParked(t *testing.T, c *esdb.Client, stream string, n int) []*esdb.ResolvedEvent {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		info, err := c.GetPersistentSubscriptionInfo(within(t), stream, "g", esdb.GetPersistentSubscriptionOptions{})
		must(t, err)
		if int(info.Stats.ParkedMessagesCount) == n {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d parked, want %d", info.Stats.ParkedMessagesCount, n)
		}
	}
	if n == 0 {
		return nil
	}
	return readStream(t, c, "$persistentsubscription-"+stream+"::g-parked", esdb.ReadStreamOptions{ResolveLinkTos: true}, unlimited)
}

func TestPersistentTimeoutAndLeaving(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	appendTo(t, c, "s", esdb.NoStream{}, events(2)...)
	group(t, c, "s", esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.MessageTimeout = 100 })
	sub := consume(t, c, "s", 1)
	e, _ := delivered(t, sub)
	again, retries := delivered(t, sub) // not answered in time
	if again.Event.EventNumber != e.Event.EventNumber || retries != 1 {
		t.Fatalf("got %d, retried %d", again.Event.EventNumber, retries)
	}
	must(t, sub.Close())
	other := consume(t, c, "s", 1)
	for e, _ = delivered(t, other); e.Event.EventNumber != 0; e, _ = delivered(t, other) {
		must(t, other.Ack(e)) // it came before the first consumer's leaving was noticed
	}
}

func TestPersistentStrategies(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	for _, strategy := range []esdb.ConsumerStrategy{esdb.ConsumerStrategyRoundRobin, esdb.ConsumerStrategyDispatchToSingle} {
		stream := "s-" + uuid.NewString()
		group(t, c, stream, esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.ConsumerStrategyName = strategy })
		a, b := consume(t, c, stream, 10), consume(t, c, stream, 10)
		appendTo(t, c, stream, esdb.NoStream{}, events(8)...)
		na := 0
		for na < 4 {
			e, _ := delivered(t, a)
			must(t, a.Ack(e))
			na++
		}
		if strategy == esdb.ConsumerStrategyRoundRobin {
			for range 4 {
				e, _ := delivered(t, b)
				if e.Event.EventNumber%2 != 1 {
					t.Errorf("the second one got %d", e.Event.EventNumber)
				}
				must(t, b.Ack(e))
			}
			continue
		}
		for range 4 {
			e, _ := delivered(t, a)
			must(t, a.Ack(e))
		}
	}
}

func TestPersistentAll(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	set := esdb.SubscriptionSettingsDefault()
	err := c.CreatePersistentSubscriptionToAll(within(t), "g", esdb.PersistentAllSubscriptionOptions{Settings: &set, StartFrom: esdb.Start{},
		Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"order-"}}})
	must(t, err)
	for i := range 30 {
		appendTo(t, c, fmt.Sprintf("order-%d", i), esdb.NoStream{}, event(i))
		appendTo(t, c, fmt.Sprintf("stock-%d", i), esdb.NoStream{}, events(3)...)
	}
	sub, err := c.SubscribeToPersistentSubscriptionToAll(within(t), "g", esdb.SubscribeToPersistentSubscriptionOptions{})
	must(t, err)
	defer sub.Close()
	for i := range 30 {
		e, _ := delivered(t, sub)
		if e.Event.StreamID != fmt.Sprintf("order-%d", i) {
			t.Fatalf("got %s, want order-%d", e.Event.StreamID, i)
		}
		must(t, sub.Ack(e))
	}
}

func TestPersistentManagement(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	group(t, c, "s", esdb.Start{})
	err := c.CreatePersistentSubscription(within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{})
	if code(err) != esdb.ErrorCodeResourceAlreadyExists {
		t.Errorf("second create: %v", err)
	}
	set := esdb.SubscriptionSettingsDefault()
	set.MaxSubscriberCount, set.MaxRetryCount = 1, 77
	must(t, c.UpdatePersistentSubscription(within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{Settings: &set}))
	info, err := c.GetPersistentSubscriptionInfo(within(t), "s", "g", esdb.GetPersistentSubscriptionOptions{})
	if err != nil || info.Settings.MaxRetryCount != 77 || info.EventSource != "s" || info.GroupName != "g" {
		t.Errorf("info %+v %v", info, err)
	}
	first := consume(t, c, "s", 1)
	if _, err := c.SubscribeToPersistentSubscription(within(t), "s", "g", esdb.SubscribeToPersistentSubscriptionOptions{}); err == nil {
		t.Error("a second consumer of a group for one")
	}
	for _, stream := range []string{"a", "b"} {
		must(t, c.CreatePersistentSubscription(within(t), stream, "g", esdb.PersistentStreamSubscriptionOptions{}))
	}
	all, err := c.ListAllPersistentSubscriptions(within(t), esdb.ListPersistentSubscriptionsOptions{})
	if err != nil || len(all) != 3 {
		t.Errorf("list: %d %v", len(all), err)
	}
	one, err := c.ListPersistentSubscriptionsForStream(within(t), "b", esdb.ListPersistentSubscriptionsOptions{})
	if err != nil || len(one) != 1 {
		t.Errorf("list of b: %d %v", len(one), err)
	}
	must(t, c.DeletePersistentSubscription(within(t), "s", "g", esdb.DeletePersistentSubscriptionOptions{}))
	if e := first.Recv(); e.SubscriptionDropped == nil {
		t.Errorf("the deleted group's consumer got %+v", e)
	}
	for _, err := range []error{
		c.DeletePersistentSubscription(within(t), "s", "g", esdb.DeletePersistentSubscriptionOptions{}),
		c.UpdatePersistentSubscription(within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{}),
		c.ReplayParkedMessages(within(t), "s", "g", esdb.ReplayParkedMessagesOptions{}),
	} {
		if code(err) != esdb.ErrorCodeResourceNotFound {
			t.Errorf("on a deleted group: %v", err)
		}
	}
	must(t, c.RestartPersistentSubscriptionSubsystem(within(t), esdb.RestartPersistentSubscriptionSubsystemOptions{}))
	if all, err = c.ListAllPersistentSubscriptions(within(t), esdb.ListPersistentSubscriptionsOptions{}); err != nil || len(all) != 2 {
		t.Errorf("list after a restart: %d %v", len(all), err)
	}
}

// TestPersistentRestart: delivery goes on behind the checkpoint, and settings and parked messages are kept.
func TestPersistentRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(cfg *eventserver.Config) { cfg.Dir = dir }
	s := start(t, at)
	c := connect(t, s)
	appendTo(t, c, "s", esdb.NoStream{}, events(10)...)
	group(t, c, "s", esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.CheckpointLowerBound, s.CheckpointUpperBound = 1, 1 })
	sub := consume(t, c, "s", 3)
	for i := range 6 {
		e, _ := delivered(t, sub)
		if i == 4 {
			must(t, sub.Nack("later", esdb.NackActionPark, e))
		} else {
			must(t, sub.Ack(e))
		}
	}
	waitParked(t, c, "s", 1)
	for deadline := time.Now().Add(20 * time.Second); ; {
		info, err := c.GetPersistentSubscriptionInfo(within(t), "s", "g", esdb.GetPersistentSubscriptionOptions{})
		must(t, err)
		if n := info.Stats.LastCheckpointedEventRevision; n != nil && *n == 5 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no checkpoint at 5: %+v", info.Stats)
		}
	}
	must(t, s.Close())
	c = connect(t, start(t, at))
	sub = consume(t, c, "s", 3)
	if e, _ := delivered(t, sub); e.Event.EventNumber != 6 {
		t.Errorf("after a restart: got %d, want 6", e.Event.EventNumber)
	}
	waitParked(t, c, "s", 1)
}
