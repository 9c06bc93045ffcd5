package conformance

import (
	"fmt"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

var subscribeCases = []testCase{
	{name: "subscribe to a stream", run: subscribeToStream},
	{name: "subscribe to a stream that comes later", run: subscribeToLater},
	{name: "subscribe to $all", run: subscribeToAll},
	{name: "subscribe with filters", run: subscribeFiltered},
	{name: "a filter that is none", run: badFilter},
}

func subscribeToStream(t *testing.T, s *suite) {
	c, stream := s.admin, unique("followed")
	clienttest.Append(t, c, stream, esdb.NoStream{}, clienttest.Events(1500)...)
	for _, x := range []struct {
		from  esdb.StreamPosition
		first uint64
	}{{esdb.Start{}, 0}, {esdb.Revision(1200), 1201}, {esdb.End{}, 1500}} {
		sub, err := c.SubscribeToStream(clienttest.Within(t), stream, esdb.SubscribeToStreamOptions{From: x.from})
		clienttest.Must(t, err)
		defer func() { _ = sub.Close() }()
		for n := x.first; n < 1500; n++ {
			if e := clienttest.Next(t, sub); e.Event.EventNumber != n {
				t.Fatalf("from %#v: got %d, want %d", x.from, e.Event.EventNumber, n)
			}
		}
		if e := sub.Recv(); e.CaughtUp == nil {
			t.Fatalf("from %#v: %+v, want caught up", x.from, e)
		}
		defer func() {
			if e := clienttest.Next(t, sub); e.Event.EventNumber != 1500 {
				t.Errorf("from %#v: live event is %d", x.from, e.Event.EventNumber)
			}
		}()
	}
	clienttest.Append(t, c, unique("other"), esdb.NoStream{}, clienttest.Event(0))
	clienttest.Append(t, c, stream, esdb.Revision(1499), clienttest.Event(1500))
}

func subscribeToLater(t *testing.T, s *suite) {
	c, stream := s.admin, unique("later")
	sub, err := c.SubscribeToStream(clienttest.Within(t), stream, esdb.SubscribeToStreamOptions{From: esdb.Start{}})
	clienttest.Must(t, err)
	defer func() { _ = sub.Close() }()
	if e := sub.Recv(); e.CaughtUp == nil {
		t.Fatalf("%+v, want caught up", e)
	}
	for i := range 3 {
		clienttest.Append(t, c, stream, esdb.Any{}, clienttest.Event(i))
		if e := clienttest.Next(t, sub); e.Event.EventNumber != uint64(i) {
			t.Errorf("got %d, want %d", e.Event.EventNumber, i)
		}
	}
}

// subscribeToAll: a subscription begins behind its position and shows everything once, in order, what is written later too.
func subscribeToAll(t *testing.T, s *suite) {
	c, stream := s.admin, unique("all")
	clienttest.Append(t, c, stream, esdb.NoStream{}, clienttest.Events(300)...)
	from := clienttest.ReadStream(t, c, stream, esdb.ReadStreamOptions{From: esdb.Revision(5)}, 1)[0].Event.Position
	sub, err := c.SubscribeToAll(clienttest.Within(t), esdb.SubscribeToAllOptions{From: from})
	clienttest.Must(t, err)
	defer func() { _ = sub.Close() }()
	last := from.Prepare
	want := func(n uint64) {
		t.Helper()
		for {
			o := clienttest.Next(t, sub).OriginalEvent()
			if o.Position.Prepare <= last {
				t.Fatalf("position %d came after %d", o.Position.Prepare, last)
			}
			last = o.Position.Prepare
			if o.StreamID != stream {
				continue // of others
			}
			if o.EventNumber != n {
				t.Fatalf("got %d, want %d", o.EventNumber, n)
			}
			return
		}
	}
	for n := uint64(6); n < 300; n++ {
		want(n)
	}
	for i := range 20 {
		clienttest.Append(t, c, stream, esdb.Any{}, clienttest.Event(i))
		want(uint64(300 + i))
	}
}

func subscribeFiltered(t *testing.T, s *suite) {
	c, prefix, kind := s.admin, unique("order"), unique("happened")
	start := clienttest.ReadAll(t, c, esdb.ReadAllOptions{From: esdb.End{}, Direction: esdb.Backwards}, 1)[0].OriginalEvent().Position
	for i := range 60 {
		e := clienttest.Event(i)
		e.EventType = kind
		clienttest.Append(t, c, fmt.Sprintf("%s-%d", prefix, i), esdb.NoStream{}, e)
		clienttest.Append(t, c, unique("stock"), esdb.NoStream{}, clienttest.Events(3)...)
	}
	for _, x := range []struct {
		name   string
		filter esdb.SubscriptionFilter
	}{
		{"stream prefix", esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"nobody", prefix}}},
		{"stream expression", esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Regex: "^(?!nobody)" + prefix + `-\d+$`}},
		{"type prefix", esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{kind}}},
		{"type expression", esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: kind}},
	} {
		sub, err := c.SubscribeToAll(clienttest.Within(t), esdb.SubscribeToAllOptions{From: start, MaxSearchWindow: 16, CheckpointInterval: 2, Filter: &x.filter})
		clienttest.Must(t, err)
		defer func() { _ = sub.Close() }()
		orders, checkpoints, last := 0, 0, uint64(0)
		for orders < 60 || checkpoints == 0 {
			switch e := sub.Recv(); {
			case e.EventAppeared != nil:
				o := e.EventAppeared.OriginalEvent()
				if o.StreamID != fmt.Sprintf("%s-%d", prefix, orders) {
					t.Fatalf("%s: got %s, want the order %d", x.name, o.StreamID, orders)
				}
				orders++
				last = o.Position.Commit
			case e.CheckPointReached != nil:
				if checkpoints++; e.CheckPointReached.Commit < last {
					t.Errorf("%s: checkpoint %d behind event %d", x.name, e.CheckPointReached.Commit, last)
				}
			case e.SubscriptionDropped != nil:
				t.Fatalf("%s: %v", x.name, e.SubscriptionDropped.Error)
			}
		}
	}
}

func badFilter(t *testing.T, s *suite) {
	sub, err := s.admin.SubscribeToAll(clienttest.Within(t), esdb.SubscribeToAllOptions{Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Regex: "("}})
	if err == nil {
		defer func() { _ = sub.Close() }()
		if e := sub.Recv(); e.SubscriptionDropped == nil {
			t.Error("a broken expression was accepted")
		}
	}
}
