package eventserver_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

func TestIdempotence(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	es := clienttest.Events(3)
	for _, at := range []esdb.ExpectedRevision{esdb.NoStream{}, esdb.Any{}} {
		stream := "s-" + uuid.NewString()
		first := clienttest.Append(t, c, stream, at, es...)
		clienttest.Append(t, c, stream, esdb.Revision(2), clienttest.Event(9))
		again := clienttest.Append(t, c, stream, at, es...)
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("%T: the repeat was answered otherwise:\n%s", at, diff)
		}
		if part := clienttest.Append(t, c, stream, at, es[0]); part.NextExpectedVersion != 0 {
			t.Errorf("%T: the repeat of a part was answered %+v", at, part)
		}
		if n := len(clienttest.ReadStream(t, c, stream, esdb.ReadStreamOptions{}, clienttest.Unlimited)); n != 4 {
			t.Errorf("%T: %d events, want 4", at, n)
		}
	}
	// Other ids, or some of them, at the same place are a conflict.
	stream := "s-" + uuid.NewString()
	clienttest.Append(t, c, stream, esdb.NoStream{}, es...)
	for _, other := range [][]esdb.EventData{{clienttest.Event(0)}, {es[0], clienttest.Event(0)}, {es[1]}, {es[0], es[1], es[2], clienttest.Event(3)}} {
		_, err := c.AppendToStream(clienttest.Within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, other...)
		if clienttest.Code(err) != esdb.ErrorCodeWrongExpectedVersion {
			t.Errorf("%d other events: %v", len(other), err)
		}
	}
}

func TestReadAllDirections(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connect(t, s)
	clienttest.Append(t, c, "a", esdb.NoStream{}, clienttest.Events(3)...)
	clienttest.Append(t, c, "b", esdb.NoStream{}, clienttest.Events(600)...)
	all := clienttest.ReadAll(t, c, esdb.ReadAllOptions{}, clienttest.Unlimited)
	if len(all) != 604 {
		t.Fatalf("%d events, want 604", len(all))
	}
	if e := all[0].Event; e.StreamID != "$incarnation" || !strings.Contains(string(e.Data), s.Incarnation()) {
		t.Errorf("the log begins with %s %s %s", e.StreamID, e.EventType, e.Data)
	}
	for i, e := range all {
		if e.Event.Position.Commit != uint64(i+1) {
			t.Fatalf("event %d has position %d", i, e.Event.Position.Commit)
		}
	}
	at := func(n uint64) esdb.Position { return esdb.Position{Commit: n, Prepare: n} }
	for _, x := range []struct {
		name        string
		o           esdb.ReadAllOptions
		count       uint64
		n           int
		first, last uint64
	}{
		{"inclusive", esdb.ReadAllOptions{From: at(600)}, clienttest.Unlimited, 5, 600, 604},
		{"some", esdb.ReadAllOptions{From: at(2)}, 3, 3, 2, 4},
		{"end", esdb.ReadAllOptions{From: esdb.End{}}, clienttest.Unlimited, 0, 0, 0},
		{"backwards", esdb.ReadAllOptions{From: esdb.End{}, Direction: esdb.Backwards}, clienttest.Unlimited, 604, 604, 1},
		{"backwards exclusive", esdb.ReadAllOptions{From: at(4), Direction: esdb.Backwards}, clienttest.Unlimited, 3, 3, 1},
		{"backwards some", esdb.ReadAllOptions{From: esdb.End{}, Direction: esdb.Backwards}, 2, 2, 604, 603},
		{"backwards from the start", esdb.ReadAllOptions{From: esdb.Start{}, Direction: esdb.Backwards}, clienttest.Unlimited, 0, 0, 0},
	} {
		got := clienttest.ReadAll(t, c, x.o, x.count)
		if len(got) != x.n || x.n > 0 && (got[0].Event.Position.Commit != x.first || got[x.n-1].Event.Position.Commit != x.last) {
			t.Errorf("%s: %d events, want %d from %d to %d", x.name, len(got), x.n, x.first, x.last)
		}
	}
}

func TestAppendLimit(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t, func(cfg *eventserver.Config) { cfg.MaxAppendBytes = 64 << 10 }))
	big := clienttest.Event(1)
	big.Data = bytes.Repeat([]byte("x"), 65<<10)
	for _, es := range [][]esdb.EventData{{big}, {clienttest.Event(0), big, clienttest.Event(2)}} {
		if _, err := c.AppendToStream(clienttest.Within(t), "s", esdb.AppendToStreamOptions{}, es...); err == nil {
			t.Error("too large an append was accepted")
		}
	}
	big.Data = big.Data[:60<<10]
	clienttest.Append(t, c, "s", esdb.NoStream{}, big)
}

func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(cfg *eventserver.Config) { cfg.Dir = dir }
	s := start(t, at)
	c := connect(t, s)
	es := clienttest.Events(10)
	r := clienttest.Append(t, c, "s", esdb.NoStream{}, es...)
	if _, err := eventserver.Start(t.Context(), eventserver.Config{Dir: dir}); err == nil {
		t.Fatal("a second server on one directory was started")
	}
	incarnation := s.Incarnation()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, at)
	c = connect(t, s)
	if s.Incarnation() != incarnation {
		t.Error("another incarnation after a restart")
	}
	if again := clienttest.Append(t, c, "s", esdb.NoStream{}, es...); *again != *r {
		t.Errorf("repeat after a restart: %+v, first %+v", again, r)
	}
	if n := clienttest.Append(t, c, "s", esdb.Revision(9), clienttest.Event(10)); n.CommitPosition != r.CommitPosition+1 || n.NextExpectedVersion != 10 {
		t.Errorf("append after a restart: %+v", n)
	}
}
