package conformance

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

var allCases = []testCase{
	{name: "$all in both directions", run: allDirections},
	{name: "$all begins with a system event", run: allBegins},
	{name: "$all from its end", run: allFromItsEnd},
}

func allDirections(t *testing.T, s *suite) {
	a, b := unique("a"), unique("b")
	clienttest.Append(t, s.admin, a, esdb.NoStream{}, clienttest.Events(40)...)
	clienttest.Append(t, s.admin, b, esdb.NoStream{}, clienttest.Events(40)...)
	own := func(es []*esdb.ResolvedEvent) (own []*esdb.RecordedEvent) {
		for _, e := range es {
			if o := e.OriginalEvent(); o.StreamID == a || o.StreamID == b {
				own = append(own, o)
			}
		}
		return own
	}
	from := clienttest.ReadStream(t, s.admin, a, esdb.ReadStreamOptions{}, 1)[0].Event.Position
	to := clienttest.ReadStream(t, s.admin, b, esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, 1)[0].Event.Position
	forwards := clienttest.ReadAll(t, s.admin, esdb.ReadAllOptions{From: from}, clienttest.Unlimited)
	if first := forwards[0].OriginalEvent(); first.StreamID != a || first.EventNumber != 0 {
		t.Errorf("a forward read is inclusive, but began with %s %d", first.StreamID, first.EventNumber)
	}
	mine := own(forwards)
	if len(mine) != 80 {
		t.Fatalf("%d events, want 80", len(mine))
	}
	last := esdb.Position{}
	for i, e := range mine {
		stream := a
		if i >= 40 {
			stream = b
		}
		if e.StreamID != stream || e.EventNumber != uint64(i%40) || e.Position.Prepare <= last.Prepare {
			t.Fatalf("event %d is %s %d at %+v", i, e.StreamID, e.EventNumber, e.Position)
		}
		last = e.Position
	}
	back := own(clienttest.ReadAll(t, s.admin, esdb.ReadAllOptions{From: to, Direction: esdb.Backwards}, clienttest.Unlimited))
	if len(back) != 79 || back[0].EventNumber != 38 || back[0].StreamID != b {
		t.Errorf("a backward read is exclusive: %d events, want 79", len(back))
	}
	if n := len(clienttest.ReadAll(t, s.admin, esdb.ReadAllOptions{From: esdb.Start{}, Direction: esdb.Backwards}, 10)); n != 0 {
		t.Errorf("%d events before the first", n)
	}
	if n := len(clienttest.ReadAll(t, s.admin, esdb.ReadAllOptions{From: esdb.End{}}, 10)); n != 0 {
		t.Errorf("%d events after the last", n)
	}
	if n := len(clienttest.ReadAll(t, s.admin, esdb.ReadAllOptions{From: from}, 3)); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

// allFromItsEnd: from the newest event's position, and from just behind it, nothing of what comes next is passed over.
func allFromItsEnd(t *testing.T, s *suite) {
	stream := unique("end")
	r := clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Event(0))
	at := esdb.Position{Commit: r.CommitPosition, Prepare: r.PreparePosition}
	sub, err := s.admin.SubscribeToAll(clienttest.Within(t), esdb.SubscribeToAllOptions{From: at,
		Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{stream}}})
	clienttest.Must(t, err)
	defer func() { _ = sub.Close() }()
	next := clienttest.Event(1)
	clienttest.Append(t, s.admin, stream, esdb.Revision(0), next)
	if e := clienttest.Next(t, sub); e.OriginalEvent().EventID != next.EventID {
		t.Errorf("the next event is %+v", e.OriginalEvent())
	}
	mine := 0
	for _, e := range clienttest.ReadAll(t, s.admin, esdb.ReadAllOptions{From: at}, clienttest.Unlimited) {
		if e.OriginalEvent().StreamID == stream {
			mine++
		}
	}
	if mine != 2 {
		t.Errorf("%d events from the position of the first on, want 2", mine)
	}
}

func allBegins(t *testing.T, s *suite) {
	first := clienttest.ReadAll(t, s.admin, esdb.ReadAllOptions{From: esdb.Start{}}, 1)[0].OriginalEvent()
	if first.StreamID[0] != '$' {
		t.Errorf("the first event is in %s", first.StreamID)
	}
}
