package eventserver_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// ends is what consumers made of a stream's events, over all lives of its server.
type ends struct {
	mu     sync.Mutex
	acked  map[uint64]bool
	parked map[uint64]bool
	left   int // until the server is killed
}

// consume answers at random until the server is gone, or, if it is to live, until each event is acknowledged or parked.
func (x *ends) consume(sub *esdb.PersistentSubscription, seed uint64, want int, kill func()) error {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's dice
	for {
		e := sub.Recv()
		if e.EventAppeared == nil {
			return fmt.Errorf("dropped: %+v", e.SubscriptionDropped)
		}
		event := e.EventAppeared.Event
		n := event.OriginalEvent().EventNumber
		x.mu.Lock()
		var err error
		switch dice := random.IntN(10); {
		case kill == nil || dice < 6:
			x.acked[n] = true
			err = sub.Ack(event)
		case dice < 7:
			x.parked[n] = true
			err = sub.Nack("later", esdb.NackActionPark, event)
		default:
			err = sub.Nack("again", esdb.NackActionRetry, event)
		}
		if x.left--; x.left == 0 && kill != nil {
			kill()
		}
		all := 0
		for n := range uint64(want) { //nolint:gosec // small
			if x.acked[n] || x.parked[n] {
				all++
			}
		}
		x.mu.Unlock()
		if err != nil {
			return err
		}
		if kill == nil && all == want {
			return nil
		}
	}
}

// TestPersistentKill kills a server while two consumers of a group acknowledge, park and ask again at random. In the end each event
// was acknowledged, or is parked: none is skipped.
func TestPersistentKill(t *testing.T) {
	t.Parallel()
	const events = 600
	dir := t.TempDir()
	x := &ends{acked: map[uint64]bool{}, parked: map[uint64]bool{}}
	for round := range 3 {
		cmd, addr := child(t, dir, "")
		c := clienttest.Connect(t, "esdb://"+addr+"?tls=false")
		if round == 0 {
			clienttest.Append(t, c, "s", esdb.NoStream{}, clienttest.Events(events)...)
			clienttest.CreateGroup(t, c, "s", esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) {
				s.CheckpointLowerBound, s.CheckpointUpperBound, s.MaxRetryCount, s.CheckpointAfter = 1, 5, 100, 100
			})
		}
		x.left = 100 + rand.IntN(100) //nolint:gosec // a test's dice
		var wg sync.WaitGroup
		for k := range uint64(2) {
			sub := clienttest.Consume(t, c, "s", 20)
			wg.Go(func() { _ = x.consume(sub, k, events, func() { _ = cmd.Process.Kill() }) })
		}
		wg.Wait()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	c := connect(t, start(t, func(cfg *eventserver.Config) { cfg.Dir = dir }))
	clienttest.Must(t, x.consume(clienttest.Consume(t, c, "s", 20), 0, events, nil))
	// What was only said to be parked is parked, or was delivered again and acknowledged.
	known := map[uint64]bool{}
	clienttest.Eventually(t, "what was parked is parked", func() bool {
		for _, e := range clienttest.ReadStream(t, c, "$persistentsubscription-s::g-parked", esdb.ReadStreamOptions{ResolveLinkTos: true}, clienttest.Unlimited) {
			known[e.Event.EventNumber] = true
		}
		for n := range x.parked {
			if !known[n] && !x.acked[n] {
				return false
			}
		}
		return true
	})
	if len(x.acked) == events {
		t.Error("nothing was parked: the test tries too little")
	}
}

// TestPinnedBehindAFullConsumer: what is pinned to a consumer that answers nothing, however much it is, holds up no other consumer.
func TestPinnedBehindAFullConsumer(t *testing.T) {
	t.Parallel()
	const streams, each = 8, 400
	c := connect(t, start(t))
	set := esdb.SubscriptionSettingsDefault()
	set.ConsumerStrategyName, set.MessageTimeout = esdb.ConsumerStrategyPinned, 600_000
	set.HistoryBufferSize, set.ReadBatchSize = 50, 20
	clienttest.Must(t, c.CreatePersistentSubscriptionToAll(clienttest.Within(t), "g", esdb.PersistentAllSubscriptionOptions{Settings: &set, StartFrom: esdb.Start{},
		Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"s-"}}}))
	consume := func() *esdb.PersistentSubscription {
		sub, err := c.SubscribeToPersistentSubscriptionToAll(clienttest.Within(t), "g", esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: 1})
		clienttest.Must(t, err)
		t.Cleanup(func() { _ = sub.Close() })
		return sub
	}
	full, busy := consume(), consume()
	for k := range streams {
		clienttest.Append(t, c, fmt.Sprintf("s-%d", k), esdb.NoStream{}, clienttest.Events(each)...)
	}
	clienttest.Delivered(t, full)
	got := map[string]uint64{}
	for range streams / 2 * each { // the half of the streams is the busy one's
		e, _ := clienttest.Delivered(t, busy)
		if e.Event.EventNumber != got[e.Event.StreamID] {
			t.Fatalf("%s: got %d, want %d", e.Event.StreamID, e.Event.EventNumber, got[e.Event.StreamID])
		}
		got[e.Event.StreamID]++
		clienttest.Must(t, busy.Ack(e))
	}
}

// TestReplayedAsDelivered: a replayed message has the link by which it first came, also after the group was started again.
func TestReplayedAsDelivered(t *testing.T) {
	t.Parallel()
	for _, resolve := range []bool{true, false} {
		c := connect(t, start(t))
		clienttest.Append(t, c, "target", esdb.NoStream{}, clienttest.Events(3)...)
		for _, data := range []string{"2@target", "7@target", "nothing"} {
			link := clienttest.Event(0)
			link.EventType, link.ContentType, link.Data = "$>", esdb.ContentTypeBinary, []byte(data)
			clienttest.Append(t, c, "links", esdb.Any{}, link)
		}
		clienttest.Append(t, c, "links", esdb.Any{}, clienttest.Event(1))
		clienttest.CreateGroup(t, c, "links", esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.ResolveLinkTos = resolve })
		var first [][]*esdb.RecordedEvent
		for try := range 3 {
			sub := clienttest.Consume(t, c, "links", 4)
			var got [][]*esdb.RecordedEvent
			for range 4 {
				e, _ := clienttest.Delivered(t, sub)
				got = append(got, []*esdb.RecordedEvent{e.Event, e.Link})
				clienttest.Must(t, sub.Nack("later", esdb.NackActionPark, e))
			}
			if first == nil {
				first = got
			}
			same := slices.EqualFunc(got, first, func(a, b []*esdb.RecordedEvent) bool { return sameEvent(a[0], b[0]) && sameEvent(a[1], b[1]) })
			if !same {
				t.Errorf("resolve %t, try %d: got %+v, first %+v", resolve, try, got, first)
			}
			clienttest.Eventually(t, "4 are parked", func() bool {
				info, err := c.GetPersistentSubscriptionInfo(clienttest.Within(t), "links", clienttest.Group, esdb.GetPersistentSubscriptionOptions{})
				clienttest.Must(t, err)
				return info.Stats.ParkedMessagesCount == 4
			})
			clienttest.Must(t, sub.Close())
			clienttest.Must(t, c.RestartPersistentSubscriptionSubsystem(clienttest.Within(t), esdb.RestartPersistentSubscriptionSubsystemOptions{}))
			clienttest.Must(t, c.ReplayParkedMessages(clienttest.Within(t), "links", clienttest.Group, esdb.ReplayParkedMessagesOptions{}))
		}
	}
}

func sameEvent(a, b *esdb.RecordedEvent) bool {
	return a == nil && b == nil || a != nil && b != nil && a.EventID == b.EventID && a.StreamID == b.StreamID && a.EventNumber == b.EventNumber
}
