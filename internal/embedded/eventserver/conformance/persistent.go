package conformance

import (
	"fmt"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
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

func createGroup(t *testing.T, c *esdb.Client, stream string, from esdb.StreamPosition, change ...func(*esdb.PersistentSubscriptionSettings)) {
	t.Helper()
	set := esdb.SubscriptionSettingsDefault()
	for _, f := range change {
		f(&set)
	}
	must(t, c.CreatePersistentSubscription(within(t), stream, group, esdb.PersistentStreamSubscriptionOptions{Settings: &set, StartFrom: from}))
}

func consume(t *testing.T, c *esdb.Client, stream string, buffer uint32) *esdb.PersistentSubscription {
	t.Helper()
	sub, err := c.SubscribeToPersistentSubscription(within(t), stream, group, esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: buffer})
	must(t, err)
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

func persistentPlaces(t *testing.T, s *suite) {
	for _, x := range []struct {
		from  esdb.StreamPosition
		first uint64
	}{{esdb.Start{}, 0}, {esdb.Revision(3), 3}, {esdb.End{}, 5}, {esdb.Revision(6), 6}} {
		stream := unique("group")
		appendTo(t, s.admin, stream, esdb.NoStream{}, events(5)...)
		createGroup(t, s.admin, stream, x.from)
		appendTo(t, s.admin, stream, esdb.Revision(4), events(3)...)
		sub := consume(t, s.admin, stream, 10)
		for n := x.first; n < 8; n++ {
			e, _ := delivered(t, sub)
			if e.Event.EventNumber != n {
				t.Errorf("from %#v: got %d, want %d", x.from, e.Event.EventNumber, n)
			}
			must(t, sub.Ack(e))
		}
	}
}

// persistentBuffer: no more is in flight than the client allows, and a stream longer than all buffers is delivered in order
// and whole.
func persistentBuffer(t *testing.T, s *suite) {
	const n = 2000
	stream := unique("buffer")
	appendTo(t, s.admin, stream, esdb.NoStream{}, events(n)...)
	createGroup(t, s.admin, stream, esdb.Start{})
	sub := consume(t, s.admin, stream, 7)
	var held []*esdb.ResolvedEvent
	for i := range n {
		e, retries := delivered(t, sub)
		if e.Event.EventNumber != uint64(i) || retries != 0 {
			t.Fatalf("got %d (retried %d), want %d", e.Event.EventNumber, retries, i)
		}
		if held = append(held, e); len(held) == 7 {
			info, err := s.admin.GetPersistentSubscriptionInfo(within(t), stream, group, esdb.GetPersistentSubscriptionOptions{})
			must(t, err)
			if got := info.Connections[0].InFlightMessages; got > 7 {
				t.Fatalf("%d in flight", got)
			}
			must(t, sub.Ack(held...))
			held = held[:0]
		}
	}
}

func persistentNack(t *testing.T, s *suite) {
	c, stream := s.admin, unique("nack")
	appendTo(t, c, stream, esdb.NoStream{}, events(4)...)
	createGroup(t, c, stream, esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.MaxRetryCount = 2 })
	sub := consume(t, c, stream, 1)
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
	parked := waitParked(t, c, stream, 2)
	if parked[0].Event.EventNumber != 0 || parked[1].Event.EventNumber != 2 {
		t.Fatalf("parked are %d and %d", parked[0].Event.EventNumber, parked[1].Event.EventNumber)
	}
	// Replayed, one of them is parked again.
	must(t, c.ReplayParkedMessages(within(t), stream, group, esdb.ReplayParkedMessagesOptions{}))
	e, _ := delivered(t, sub)
	must(t, sub.Ack(e))
	if e, _ = delivered(t, sub); e.Event.EventNumber != 2 {
		t.Fatalf("replayed %d, want 2", e.Event.EventNumber)
	}
	must(t, sub.Nack("still no", esdb.NackActionPark, e))
	if parked = waitParked(t, c, stream, 1); parked[0].Event.EventNumber != 2 {
		t.Errorf("parked is %d", parked[0].Event.EventNumber)
	}
	must(t, c.ReplayParkedMessages(within(t), stream, group, esdb.ReplayParkedMessagesOptions{}))
	e, _ = delivered(t, sub)
	must(t, sub.Ack(e))
	waitParked(t, c, stream, 0)
}

// waitParked waits until so many messages are parked and gives what they link to.
func waitParked(t *testing.T, c *esdb.Client, stream string, n int) []*esdb.ResolvedEvent {
	t.Helper()
	eventually(t, fmt.Sprintf("%d messages are parked", n), func() bool {
		info, err := c.GetPersistentSubscriptionInfo(within(t), stream, group, esdb.GetPersistentSubscriptionOptions{})
		must(t, err)
		return int(info.Stats.ParkedMessagesCount) == n
	})
	if n == 0 {
		return nil
	}
	return readStream(t, c, "$persistentsubscription-"+stream+"::"+group+"-parked", esdb.ReadStreamOptions{ResolveLinkTos: true}, unlimited)
}

func persistentTimeout(t *testing.T, s *suite) {
	stream := unique("timeout")
	appendTo(t, s.admin, stream, esdb.NoStream{}, events(2)...)
	createGroup(t, s.admin, stream, esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.MessageTimeout = 100 })
	sub := consume(t, s.admin, stream, 1)
	e, _ := delivered(t, sub)
	again, retries := delivered(t, sub) // not answered in time
	if again.Event.EventNumber != e.Event.EventNumber || retries != 1 {
		t.Fatalf("got %d, retried %d", again.Event.EventNumber, retries)
	}
	must(t, sub.Close())
	other := consume(t, s.admin, stream, 1)
	for e, _ = delivered(t, other); e.Event.EventNumber != 0; e, _ = delivered(t, other) {
		must(t, other.Ack(e)) // it came before the first consumer's leaving was noticed
	}
}

func persistentStrategies(t *testing.T, s *suite) {
	for _, strategy := range []esdb.ConsumerStrategy{esdb.ConsumerStrategyRoundRobin, esdb.ConsumerStrategyDispatchToSingle} {
		stream := unique("strategy")
		createGroup(t, s.admin, stream, esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.ConsumerStrategyName = strategy })
		a, b := consume(t, s.admin, stream, 10), consume(t, s.admin, stream, 10)
		appendTo(t, s.admin, stream, esdb.NoStream{}, events(8)...)
		second := b
		if strategy == esdb.ConsumerStrategyDispatchToSingle {
			second = a
		}
		for _, sub := range []*esdb.PersistentSubscription{a, second} {
			for range 4 {
				e, _ := delivered(t, sub)
				if sub == b && e.Event.EventNumber%2 != 1 {
					t.Errorf("the second one got %d", e.Event.EventNumber)
				}
				must(t, sub.Ack(e))
			}
		}
	}
}

func persistentAll(t *testing.T, s *suite) {
	c, prefix, name := s.admin, unique("order"), unique("group")
	set := esdb.SubscriptionSettingsDefault()
	must(t, c.CreatePersistentSubscriptionToAll(within(t), name, esdb.PersistentAllSubscriptionOptions{Settings: &set, StartFrom: esdb.Start{},
		Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{prefix}}}))
	for i := range 30 {
		appendTo(t, c, fmt.Sprintf("%s-%d", prefix, i), esdb.NoStream{}, event(i))
		appendTo(t, c, unique("stock"), esdb.NoStream{}, events(3)...)
	}
	sub, err := c.SubscribeToPersistentSubscriptionToAll(within(t), name, esdb.SubscribeToPersistentSubscriptionOptions{})
	must(t, err)
	defer func() { _ = sub.Close() }()
	for i := range 30 {
		e, _ := delivered(t, sub)
		if e.Event.StreamID != fmt.Sprintf("%s-%d", prefix, i) {
			t.Fatalf("got %s, want the order %d", e.Event.StreamID, i)
		}
		must(t, sub.Ack(e))
	}
	must(t, c.DeletePersistentSubscriptionToAll(within(t), name, esdb.DeletePersistentSubscriptionOptions{}))
}

func persistentManagement(t *testing.T, s *suite) {
	c, stream := s.admin, unique("managed")
	createGroup(t, c, stream, esdb.Start{})
	err := c.CreatePersistentSubscription(within(t), stream, group, esdb.PersistentStreamSubscriptionOptions{})
	if code(err) != esdb.ErrorCodeResourceAlreadyExists {
		t.Errorf("second create: %v", err)
	}
	set := esdb.SubscriptionSettingsDefault()
	set.MaxSubscriberCount, set.MaxRetryCount = 1, 77
	must(t, c.UpdatePersistentSubscription(within(t), stream, group, esdb.PersistentStreamSubscriptionOptions{Settings: &set}))
	info, err := c.GetPersistentSubscriptionInfo(within(t), stream, group, esdb.GetPersistentSubscriptionOptions{})
	if err != nil || info.Settings.MaxRetryCount != 77 || info.EventSource != stream || info.GroupName != group {
		t.Errorf("info %+v %v", info, err)
	}
	first := consume(t, c, stream, 1)
	if _, err := c.SubscribeToPersistentSubscription(within(t), stream, group, esdb.SubscribeToPersistentSubscriptionOptions{}); err == nil {
		t.Error("a second consumer of a group for one")
	}
	one, err := c.ListPersistentSubscriptionsForStream(within(t), stream, esdb.ListPersistentSubscriptionsOptions{})
	if err != nil || len(one) != 1 {
		t.Errorf("list: %d %v", len(one), err)
	}
	must(t, c.DeletePersistentSubscription(within(t), stream, group, esdb.DeletePersistentSubscriptionOptions{}))
	if e := first.Recv(); e.SubscriptionDropped == nil {
		t.Errorf("the deleted group's consumer got %+v", e)
	}
	for _, err := range []error{
		c.DeletePersistentSubscription(within(t), stream, group, esdb.DeletePersistentSubscriptionOptions{}),
		c.UpdatePersistentSubscription(within(t), stream, group, esdb.PersistentStreamSubscriptionOptions{}),
		c.ReplayParkedMessages(within(t), stream, group, esdb.ReplayParkedMessagesOptions{}),
	} {
		if code(err) != esdb.ErrorCodeResourceNotFound {
			t.Errorf("on a deleted group: %v", err)
		}
	}
}
