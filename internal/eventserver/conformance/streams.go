package conformance

import (
	"bytes"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

var streamCases = []testCase{
	{name: "append and read", run: appendAndRead},
	{name: "read windows", run: readWindows},
	{name: "expected revisions", run: expectedRevisions},
	{name: "idempotence", run: idempotence},
	{name: "idempotence by ids", run: idempotenceByID},
	{name: "append limit", run: appendLimit},
	{name: "links", run: links},
}

func appendAndRead(t *testing.T, s *suite) {
	stream := unique("order")
	es := clienttest.Events(5)
	es[3].ContentType, es[3].Data, es[3].Metadata = esdb.ContentTypeBinary, []byte{0, 1, 255}, nil
	r := clienttest.Append(t, s.admin, stream, esdb.NoStream{}, es...)
	if r.NextExpectedVersion != 4 || r.CommitPosition == 0 || r.CommitPosition < r.PreparePosition {
		t.Errorf("answer %+v", r)
	}
	got := clienttest.ReadStream(t, s.admin, stream, esdb.ReadStreamOptions{}, clienttest.Unlimited)
	if len(got) != 5 {
		t.Fatalf("%d events", len(got))
	}
	last := uint64(0)
	for i, e := range got {
		o := e.OriginalEvent()
		if o.EventID != es[i].EventID || o.EventType != es[i].EventType || !bytes.Equal(o.Data, es[i].Data) ||
			!bytes.Equal(o.UserMetadata, es[i].Metadata) || o.EventNumber != uint64(i) || o.StreamID != stream {
			t.Errorf("event %d is %+v", i, o)
		}
		if o.Position.Commit < last || o.Position.Prepare <= last && i > 0 {
			t.Errorf("event %d has position %+v behind %d", i, o.Position, last)
		}
		last = o.Position.Prepare
		if d := time.Since(o.CreatedDate); d > time.Hour || d < -time.Hour {
			t.Errorf("event %d was created %v", i, o.CreatedDate)
		}
	}
	if got[3].Event.ContentType != "application/octet-stream" || got[2].Event.ContentType != "application/json" {
		t.Error("content types are lost")
	}
	if n := clienttest.Append(t, s.admin, stream, esdb.Revision(4)); n.NextExpectedVersion != 4 {
		t.Errorf("an append of nothing: %+v", n)
	}
}

func readWindows(t *testing.T, s *suite) {
	stream := unique("windows")
	clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Events(700)...)
	for _, x := range []struct {
		name        string
		from        esdb.StreamPosition
		direction   esdb.Direction
		count       uint64
		first, last uint64
		n           int
	}{
		{"all", esdb.Start{}, esdb.Forwards, clienttest.Unlimited, 0, 699, 700},
		{"some", esdb.Start{}, esdb.Forwards, 10, 0, 9, 10},
		{"inclusive", esdb.Revision(690), esdb.Forwards, clienttest.Unlimited, 690, 699, 10},
		{"from the end forwards", esdb.End{}, esdb.Forwards, clienttest.Unlimited, 0, 0, 0},
		{"beyond the end", esdb.Revision(700), esdb.Forwards, clienttest.Unlimited, 0, 0, 0},
		{"backwards", esdb.End{}, esdb.Backwards, clienttest.Unlimited, 699, 0, 700},
		{"last", esdb.End{}, esdb.Backwards, 1, 699, 699, 1},
		{"backwards inclusive", esdb.Revision(5), esdb.Backwards, clienttest.Unlimited, 5, 0, 6},
		{"backwards from the start", esdb.Start{}, esdb.Backwards, clienttest.Unlimited, 0, 0, 1},
		{"backwards from beyond", esdb.Revision(10_000), esdb.Backwards, 2, 699, 698, 2},
	} {
		got := clienttest.ReadStream(t, s.admin, stream, esdb.ReadStreamOptions{From: x.from, Direction: x.direction}, x.count)
		if len(got) != x.n || x.n > 0 && (got[0].Event.EventNumber != x.first || got[len(got)-1].Event.EventNumber != x.last) {
			t.Errorf("%s: %d events, want %d from %d to %d", x.name, len(got), x.n, x.first, x.last)
		}
	}
	if err := clienttest.FirstOf(t, s.admin, unique("absent")); clienttest.Code(err) != esdb.ErrorCodeResourceNotFound {
		t.Errorf("absent stream: %v", err)
	}
}

func expectedRevisions(t *testing.T, s *suite) {
	a, b := unique("a"), unique("b")
	for i, x := range []struct {
		stream string
		at     esdb.ExpectedRevision
		wrong  bool
	}{
		{a, esdb.Revision(0), true},
		{a, esdb.StreamExists{}, true},
		{a, esdb.NoStream{}, false}, // now at 0
		{a, esdb.NoStream{}, true},
		{a, esdb.Revision(1), true},
		{a, esdb.Revision(0), false},
		{a, esdb.Revision(0), true},
		{a, esdb.StreamExists{}, false},
		{a, esdb.Any{}, false},
		{b, esdb.Any{}, false},
		{a, esdb.Revision(3), false},
		{a, esdb.Revision(1 << 40), true},
	} {
		_, err := clienttest.TryAppend(t, s.admin, x.stream, x.at, clienttest.Event(1))
		if wrong := clienttest.Code(err) == esdb.ErrorCodeWrongExpectedVersion; wrong != x.wrong || !wrong && err != nil {
			t.Errorf("%d: at %#v: %v, want wrong %v", i, x.at, err, x.wrong)
		}
	}
	if n := len(clienttest.ReadStream(t, s.admin, a, esdb.ReadStreamOptions{}, clienttest.Unlimited)); n != 5 {
		t.Errorf("the stream has %d events, want 5", n)
	}
}

func idempotence(t *testing.T, s *suite) {
	for _, at := range []esdb.ExpectedRevision{esdb.NoStream{}, esdb.Any{}} {
		stream, es := unique("again"), clienttest.Events(3)
		first := clienttest.Append(t, s.admin, stream, at, es...)
		clienttest.Append(t, s.admin, stream, esdb.Revision(2), clienttest.Event(9))
		if again := clienttest.Append(t, s.admin, stream, at, es...); again.NextExpectedVersion != first.NextExpectedVersion {
			t.Errorf("%T: the repeat was answered %+v, the first %+v", at, again, first)
		}
		if n := len(clienttest.ReadStream(t, s.admin, stream, esdb.ReadStreamOptions{}, clienttest.Unlimited)); n != 4 {
			t.Errorf("%T: %d events, want 4", at, n)
		}
	}
	// Other ids at the same place, or some of them, are a conflict.
	stream, es := unique("conflict"), clienttest.Events(3)
	clienttest.Append(t, s.admin, stream, esdb.NoStream{}, es...)
	for _, other := range [][]esdb.EventData{{clienttest.Event(0)}, {es[0], clienttest.Event(0)}, {es[1]}, {es[0], es[1], es[2], clienttest.Event(3)}} {
		if _, err := clienttest.TryAppend(t, s.admin, stream, esdb.NoStream{}, other...); clienttest.Code(err) != esdb.ErrorCodeWrongExpectedVersion {
			t.Errorf("%d other events: %v", len(other), err)
		}
	}
}

// idempotenceByID: where no revision is named, ids tell a repeat, however the events were first appended, and in each stream by itself.
func idempotenceByID(t *testing.T, s *suite) {
	for _, first := range []esdb.ExpectedRevision{esdb.NoStream{}, esdb.Any{}} {
		for _, again := range []esdb.ExpectedRevision{esdb.Any{}, esdb.StreamExists{}} {
			a, b, es := unique("a"), unique("b"), clienttest.Events(3)
			clienttest.Append(t, s.admin, a, first, es...)
			clienttest.Append(t, s.admin, b, first, es...) // the same ids in another stream are other events
			for _, stream := range []string{a, b, a} {
				if r := clienttest.Append(t, s.admin, stream, again, es...); r.NextExpectedVersion != 2 {
					t.Errorf("first %T, then %T: answered %+v", first, again, r)
				}
				if n := len(clienttest.ReadStream(t, s.admin, stream, esdb.ReadStreamOptions{}, clienttest.Unlimited)); n != 3 {
					t.Errorf("first %T, then %T: %d events, want 3", first, again, n)
				}
			}
			if _, err := clienttest.TryAppend(t, s.admin, a, again, es[2], clienttest.Event(4)); clienttest.Code(err) != esdb.ErrorCodeWrongExpectedVersion {
				t.Errorf("first %T, then %T: some known and a new one: %v", first, again, err)
			}
		}
	}
}

func appendLimit(t *testing.T, s *suite) {
	stream, big := unique("large"), clienttest.Event(1)
	big.ContentType, big.Data = esdb.ContentTypeBinary, make([]byte, 1<<20+1)
	if _, err := clienttest.TryAppend(t, s.admin, stream, esdb.NoStream{}, big); err == nil {
		t.Error("more than 1 MiB was accepted")
	}
	big.Data = big.Data[:900<<10]
	clienttest.Append(t, s.admin, stream, esdb.NoStream{}, big)
}

func link(data string) esdb.EventData {
	e := clienttest.Event(0)
	e.EventType, e.ContentType, e.Data = "$>", esdb.ContentTypeBinary, []byte(data)
	return e
}

func links(t *testing.T, s *suite) {
	target, from := unique("target"), unique("links")
	es := clienttest.Events(3)
	clienttest.Append(t, s.admin, target, esdb.NoStream{}, es...)
	ls := []esdb.EventData{link("1@" + target), link("9@" + target), link("0@" + unique("absent")), link("nonsense"), link(""), link("1"), link("-2@" + target), link("x@" + target)}
	clienttest.Append(t, s.admin, from, esdb.NoStream{}, ls...)
	got := clienttest.ReadStream(t, s.admin, from, esdb.ReadStreamOptions{ResolveLinkTos: true}, clienttest.Unlimited)
	if len(got) != len(ls) || got[0].Event == nil || got[0].Event.EventID != es[1].EventID || got[0].Link.EventID != ls[0].EventID {
		t.Fatalf("%d events, first %+v", len(got), got[0])
	}
	for i, e := range got[1:] {
		if e.Event != nil || e.Link == nil || e.Link.EventID != ls[i+1].EventID {
			t.Errorf("link to nothing %d: %+v", i, e)
		}
	}
	for i, e := range clienttest.ReadStream(t, s.admin, from, esdb.ReadStreamOptions{}, clienttest.Unlimited) {
		if e.Link != nil || e.Event.EventID != ls[i].EventID {
			t.Errorf("unresolved link %d: %+v", i, e)
		}
	}
	sub, err := s.admin.SubscribeToStream(clienttest.Within(t), from, esdb.SubscribeToStreamOptions{From: esdb.Start{}, ResolveLinkTos: true})
	clienttest.Must(t, err)
	defer func() { _ = sub.Close() }()
	if e := clienttest.Next(t, sub); e.Event.EventID != es[1].EventID {
		t.Errorf("subscription: %+v", e)
	}
}
