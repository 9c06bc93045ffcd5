package conformance

import (
	"fmt"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

var persistentCases = []testCase{
	{name: "persistent from places", run: persistentPlaces},
	{name: "persistent buffer", run: persistentBuffer},
	{name: "persistent nack, park and replay", run: persistentNack},
	{name: "persistent timeout and leaving", run: persistentTimeout},
	{name: "persistent strategies", run: persistentStrategies},
	{name: "persistent to $all", run: persistentAll},
	{name: "persistent management", run: persistentManagement},
}

const group = "g"

func persistentPlaces(t *testing.T, s *suite) {
	for _, x := range []struct {
		from  esdb.StreamPosition
		first uint64
	}{{esdb.Start{}, 0}, {esdb.Revision(3), 3}, {esdb.End{}, 5}, {esdb.Revision(6), 6}} {
		stream := unique("group")
		clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Events(5)...)
		clienttest.CreateGroup(t, s.admin, stream, x.from)
		clienttest.Append(t, s.admin, stream, esdb.Revision(4), clienttest.Events(3)...)
		sub := clienttest.Consume(t, s.admin, stream, 10)
		for n := x.first; n < 8; n++ {
			e, _ := clienttest.Delivered(t, sub)
			if e.Event.EventNumber != n {
				t.Errorf("from %#v: got %d, want %d", x.from, e.Event.EventNumber, n)
			}
			clienttest.Must(t, sub.Ack(e))
		}
	}
}

// persistentBuffer: no more is in flight than the client allows, and a stream longer than all buffers is delivered in order
// and whole.
func persistentBuffer(t *testing.T, s *suite) {
	const n = 2000
	stream := unique("buffer")
	clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Events(n)...)
	clienttest.CreateGroup(t, s.admin, stream, esdb.Start{})
	sub := clienttest.Consume(t, s.admin, stream, 7)
	var held []*esdb.ResolvedEvent
	for i := range n {
		e, retries := clienttest.Delivered(t, sub)
		if e.Event.EventNumber != uint64(i) || retries != 0 {
			t.Fatalf("got %d (retried %d), want %d", e.Event.EventNumber, retries, i)
		}
		if held = append(held, e); len(held) == 7 {
			info, err := s.admin.GetPersistentSubscriptionInfo(clienttest.Within(t), stream, group, esdb.GetPersistentSubscriptionOptions{})
			clienttest.Must(t, err)
			if got := info.Connections[0].InFlightMessages; got > 7 {
				t.Fatalf("%d in flight", got)
			}
			clienttest.Must(t, sub.Ack(held...))
			held = held[:0]
		}
	}
}

func persistentNack(t *testing.T, s *suite) {
	c, stream := s.admin, unique("nack")
	clienttest.Append(t, c, stream, esdb.NoStream{}, clienttest.Events(4)...)
	clienttest.CreateGroup(t, c, stream, esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.MaxRetryCount = 2 })
	sub := clienttest.Consume(t, c, stream, 1)
	// Event 0: retried until it is parked. 1: skipped. 2: parked at once. 3: done.
	for try := range 3 {
		e, retries := clienttest.Delivered(t, sub)
		if e.Event.EventNumber != 0 || retries != try {
			t.Fatalf("try %d: got %d, retried %d", try, e.Event.EventNumber, retries)
		}
		clienttest.Must(t, sub.Nack("again", esdb.NackActionRetry, e))
	}
	for n, action := range []esdb.NackAction{esdb.NackActionSkip, esdb.NackActionPark} {
		e, _ := clienttest.Delivered(t, sub)
		if e.Event.EventNumber != uint64(n+1) {
			t.Fatalf("got %d, want %d", e.Event.EventNumber, n+1)
		}
		clienttest.Must(t, sub.Nack("no", action, e))
	}
	last, _ := clienttest.Delivered(t, sub)
	clienttest.Must(t, sub.Ack(last))
	parked := clienttest.WaitParked(t, c, stream, 2)
	if parked[0].Event.EventNumber != 0 || parked[1].Event.EventNumber != 2 {
		t.Fatalf("parked are %d and %d", parked[0].Event.EventNumber, parked[1].Event.EventNumber)
	}
	// Replayed, one of them is parked again.
	clienttest.Must(t, c.ReplayParkedMessages(clienttest.Within(t), stream, group, esdb.ReplayParkedMessagesOptions{}))
	e, _ := clienttest.Delivered(t, sub)
	clienttest.Must(t, sub.Ack(e))
	if e, _ = clienttest.Delivered(t, sub); e.Event.EventNumber != 2 {
		t.Fatalf("replayed %d, want 2", e.Event.EventNumber)
	}
	clienttest.Must(t, sub.Nack("still no", esdb.NackActionPark, e))
	if parked = clienttest.WaitParked(t, c, stream, 1); parked[0].Event.EventNumber != 2 {
		t.Errorf("parked is %d", parked[0].Event.EventNumber)
	}
	clienttest.Must(t, c.ReplayParkedMessages(clienttest.Within(t), stream, group, esdb.ReplayParkedMessagesOptions{}))
	e, _ = clienttest.Delivered(t, sub)
	clienttest.Must(t, sub.Ack(e))
	clienttest.WaitParked(t, c, stream, 0)
}

func persistentTimeout(t *testing.T, s *suite) {
	stream := unique("timeout")
	clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Events(2)...)
	clienttest.CreateGroup(t, s.admin, stream, esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.MessageTimeout = 100 })
	sub := clienttest.Consume(t, s.admin, stream, 1)
	e, _ := clienttest.Delivered(t, sub)
	again, retries := clienttest.Delivered(t, sub) // not answered in time
	if again.Event.EventNumber != e.Event.EventNumber || retries != 1 {
		t.Fatalf("got %d, retried %d", again.Event.EventNumber, retries)
	}
	clienttest.Must(t, sub.Close())
	other := clienttest.Consume(t, s.admin, stream, 1)
	for e, _ = clienttest.Delivered(t, other); e.Event.EventNumber != 0; e, _ = clienttest.Delivered(t, other) {
		clienttest.Must(t, other.Ack(e)) // it came before the first consumer's leaving was noticed
	}
}

func persistentStrategies(t *testing.T, s *suite) {
	for _, strategy := range []esdb.ConsumerStrategy{esdb.ConsumerStrategyRoundRobin, esdb.ConsumerStrategyDispatchToSingle} {
		stream := unique("strategy")
		clienttest.CreateGroup(t, s.admin, stream, esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.ConsumerStrategyName = strategy })
		a, b := clienttest.Consume(t, s.admin, stream, 10), clienttest.Consume(t, s.admin, stream, 10)
		clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Events(8)...)
		second := b
		if strategy == esdb.ConsumerStrategyDispatchToSingle {
			second = a
		}
		for _, sub := range []*esdb.PersistentSubscription{a, second} {
			for range 4 {
				e, _ := clienttest.Delivered(t, sub)
				if sub == b && e.Event.EventNumber%2 != 1 {
					t.Errorf("the second one got %d", e.Event.EventNumber)
				}
				clienttest.Must(t, sub.Ack(e))
			}
		}
	}
}

func persistentAll(t *testing.T, s *suite) {
	c, prefix, name := s.admin, unique("order"), unique("group")
	set := esdb.SubscriptionSettingsDefault()
	clienttest.Must(t, c.CreatePersistentSubscriptionToAll(clienttest.Within(t), name, esdb.PersistentAllSubscriptionOptions{Settings: &set, StartFrom: esdb.Start{},
		Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{prefix}}}))
	for i := range 30 {
		clienttest.Append(t, c, fmt.Sprintf("%s-%d", prefix, i), esdb.NoStream{}, clienttest.Event(i))
		clienttest.Append(t, c, unique("stock"), esdb.NoStream{}, clienttest.Events(3)...)
	}
	sub, err := c.SubscribeToPersistentSubscriptionToAll(clienttest.Within(t), name, esdb.SubscribeToPersistentSubscriptionOptions{})
	clienttest.Must(t, err)
	defer func() { _ = sub.Close() }()
	for i := range 30 {
		e, _ := clienttest.Delivered(t, sub)
		if e.Event.StreamID != fmt.Sprintf("%s-%d", prefix, i) {
			t.Fatalf("got %s, want the order %d", e.Event.StreamID, i)
		}
		clienttest.Must(t, sub.Ack(e))
	}
	clienttest.Must(t, c.DeletePersistentSubscriptionToAll(clienttest.Within(t), name, esdb.DeletePersistentSubscriptionOptions{}))
}

func persistentManagement(t *testing.T, s *suite) {
	c, stream := s.admin, unique("managed")
	clienttest.CreateGroup(t, c, stream, esdb.Start{})
	err := c.CreatePersistentSubscription(clienttest.Within(t), stream, group, esdb.PersistentStreamSubscriptionOptions{})
	if clienttest.Code(err) != esdb.ErrorCodeResourceAlreadyExists {
		t.Errorf("second create: %v", err)
	}
	set := esdb.SubscriptionSettingsDefault()
	set.MaxSubscriberCount, set.MaxRetryCount = 1, 77
	clienttest.Must(t, c.UpdatePersistentSubscription(clienttest.Within(t), stream, group, esdb.PersistentStreamSubscriptionOptions{Settings: &set}))
	info, err := c.GetPersistentSubscriptionInfo(clienttest.Within(t), stream, group, esdb.GetPersistentSubscriptionOptions{})
	if err != nil || info.Settings.MaxRetryCount != 77 || info.EventSource != stream || info.GroupName != group {
		t.Errorf("info %+v %v", info, err)
	}
	first := clienttest.Consume(t, c, stream, 1)
	if _, err := c.SubscribeToPersistentSubscription(clienttest.Within(t), stream, group, esdb.SubscribeToPersistentSubscriptionOptions{}); err == nil {
		t.Error("a second consumer of a group for one")
	}
	one, err := c.ListPersistentSubscriptionsForStream(clienttest.Within(t), stream, esdb.ListPersistentSubscriptionsOptions{})
	if err != nil || len(one) != 1 {
		t.Errorf("list: %d %v", len(one), err)
	}
	clienttest.Must(t, c.DeletePersistentSubscription(clienttest.Within(t), stream, group, esdb.DeletePersistentSubscriptionOptions{}))
	if e := first.Recv(); e.SubscriptionDropped == nil {
		t.Errorf("the deleted group's consumer got %+v", e)
	}
	bad := esdb.SubscriptionSettingsDefault()
	bad.HistoryBufferSize, bad.ReadBatchSize = 10, 20
	for _, err := range []error{
		c.UpdatePersistentSubscription(clienttest.Within(t), stream, group, esdb.PersistentStreamSubscriptionOptions{Settings: &bad}),
		c.UpdatePersistentSubscriptionToAll(clienttest.Within(t), stream, esdb.PersistentAllSubscriptionOptions{Settings: &bad}),
		c.DeletePersistentSubscription(clienttest.Within(t), stream, group, esdb.DeletePersistentSubscriptionOptions{}),
		c.UpdatePersistentSubscription(clienttest.Within(t), stream, group, esdb.PersistentStreamSubscriptionOptions{}),
		c.ReplayParkedMessages(clienttest.Within(t), stream, group, esdb.ReplayParkedMessagesOptions{}),
	} {
		if clienttest.Code(err) != esdb.ErrorCodeResourceNotFound {
			t.Errorf("on a deleted group: %v", err)
		}
	}
}
