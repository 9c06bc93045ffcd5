package eventserver_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/embedded/eventserver"
)

func TestAppendAndRead(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	before := time.Now().Add(-time.Second)
	es := events(5)
	es[3].ContentType, es[3].Data, es[3].Metadata = esdb.ContentTypeBinary, []byte{0, 1, 255}, nil
	r := appendTo(t, c, "order-1", esdb.NoStream{}, es...)
	if r.NextExpectedVersion != 4 || r.CommitPosition == 0 || r.CommitPosition != r.PreparePosition {
		t.Errorf("answer %+v", r)
	}
	got := readStream(t, c, "order-1", esdb.ReadStreamOptions{}, unlimited)
	if len(got) != 5 {
		t.Fatalf("%d events", len(got))
	}
	for i, e := range got {
		o := e.OriginalEvent()
		if o.EventID != es[i].EventID || o.EventType != es[i].EventType || !bytes.Equal(o.Data, es[i].Data) ||
			!bytes.Equal(o.UserMetadata, es[i].Metadata) || o.EventNumber != uint64(i) || o.StreamID != "order-1" {
			t.Errorf("event %d is %+v", i, o)
		}
		if want := r.CommitPosition - 4 + uint64(i); o.Position.Commit != want {
			t.Errorf("event %d has position %d, want %d", i, o.Position.Commit, want)
		}
		if o.CreatedDate.Before(before) || o.CreatedDate.After(time.Now().Add(time.Second)) {
			t.Errorf("event %d was created %v", i, o.CreatedDate)
		}
	}
	if got[3].Event.ContentType != "application/octet-stream" || got[2].Event.ContentType != "application/json" {
		t.Error("content types are lost")
	}
}

func TestReadWindows(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	appendTo(t, c, "s", esdb.NoStream{}, events(700)...)
	numbers := func(es []*esdb.ResolvedEvent) (ns []uint64) {
		for _, e := range es {
			ns = append(ns, e.Event.EventNumber)
		}
		return ns
	}
	for _, x := range []struct {
		name        string
		from        esdb.StreamPosition
		direction   esdb.Direction
		count       uint64
		first, last uint64
		n           int
	}{
		{"all", esdb.Start{}, esdb.Forwards, unlimited, 0, 699, 700},
		{"some", esdb.Start{}, esdb.Forwards, 10, 0, 9, 10},
		{"inclusive", esdb.Revision(690), esdb.Forwards, unlimited, 690, 699, 10},
		{"from the end forwards", esdb.End{}, esdb.Forwards, unlimited, 0, 0, 0},
		{"beyond the end", esdb.Revision(700), esdb.Forwards, unlimited, 0, 0, 0},
		{"backwards", esdb.End{}, esdb.Backwards, unlimited, 699, 0, 700},
		{"last", esdb.End{}, esdb.Backwards, 1, 699, 699, 1},
		{"backwards inclusive", esdb.Revision(5), esdb.Backwards, unlimited, 5, 0, 6},
		{"backwards from the start", esdb.Start{}, esdb.Backwards, unlimited, 0, 0, 1},
		{"backwards from beyond", esdb.Revision(10_000), esdb.Backwards, 2, 699, 698, 2},
		{"nothing", esdb.Start{}, esdb.Forwards, 0, 0, 0, 0},
	} {
		got := numbers(readStream(t, c, "s", esdb.ReadStreamOptions{From: x.from, Direction: x.direction}, x.count))
		if len(got) != x.n || x.n > 0 && (got[0] != x.first || got[len(got)-1] != x.last) {
			t.Errorf("%s: %d events %v, want %d from %d to %d", x.name, len(got), got, x.n, x.first, x.last)
		}
	}
	r, err := c.ReadStream(within(t), "absent", esdb.ReadStreamOptions{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Recv(); code(err) != esdb.ErrorCodeResourceNotFound {
		t.Errorf("absent stream: %v", err)
	}
}

func TestExpectedRevision(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	try := func(stream string, at esdb.ExpectedRevision) error {
		_, err := c.AppendToStream(within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: at}, event(1))
		return err
	}
	for _, x := range []struct {
		stream string
		at     esdb.ExpectedRevision
		wrong  bool
	}{
		{"a", esdb.Revision(0), true},
		{"a", esdb.StreamExists{}, true},
		{"a", esdb.NoStream{}, false}, // now at 0
		{"a", esdb.NoStream{}, true},
		{"a", esdb.Revision(1), true},
		{"a", esdb.Revision(0), false},
		{"a", esdb.Revision(0), true},
		{"a", esdb.StreamExists{}, false},
		{"a", esdb.Any{}, false},
		{"b", esdb.Any{}, false},
		{"a", esdb.Revision(3), false},
		{"a", esdb.Revision(1 << 63), true},
	} {
		err := try(x.stream, x.at)
		if wrong := code(err) == esdb.ErrorCodeWrongExpectedVersion; wrong != x.wrong || !wrong && err != nil {
			t.Errorf("%s at %#v: %v, want wrong %v", x.stream, x.at, err, x.wrong)
		}
	}
	if n := len(readStream(t, c, "a", esdb.ReadStreamOptions{}, unlimited)); n != 5 {
		t.Errorf("stream a has %d events, want 5", n)
	}
}

func TestIdempotence(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	es := events(3)
	for _, at := range []esdb.ExpectedRevision{esdb.NoStream{}, esdb.Any{}} {
		stream := "s-" + uuid.NewString()
		first := appendTo(t, c, stream, at, es...)
		appendTo(t, c, stream, esdb.Revision(2), event(9))
		again := appendTo(t, c, stream, at, es...)
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("%T: the repeat was answered otherwise:\n%s", at, diff)
		}
		if part := appendTo(t, c, stream, at, es[0]); part.NextExpectedVersion != 0 {
			t.Errorf("%T: the repeat of a part was answered %+v", at, part)
		}
		if n := len(readStream(t, c, stream, esdb.ReadStreamOptions{}, unlimited)); n != 4 {
			t.Errorf("%T: %d events, want 4", at, n)
		}
	}
	// Other ids, or some of them, at the same place are a conflict.
	stream := "s-" + uuid.NewString()
	appendTo(t, c, stream, esdb.NoStream{}, es...)
	for _, other := range [][]esdb.EventData{{event(0)}, {es[0], event(0)}, {es[1]}, {es[0], es[1], es[2], event(3)}} {
		_, err := c.AppendToStream(within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, other...)
		if code(err) != esdb.ErrorCodeWrongExpectedVersion {
			t.Errorf("%d other events: %v", len(other), err)
		}
	}
}

func TestReadAllDirections(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connect(t, s)
	appendTo(t, c, "a", esdb.NoStream{}, events(3)...)
	appendTo(t, c, "b", esdb.NoStream{}, events(600)...)
	all := readAll(t, c, esdb.ReadAllOptions{}, unlimited)
	if len(all) != 604 {
		t.Fatalf("%d events, want 604", len(all))
	}
	if e := all[0].Event; e.StreamID != eventserver.IncarnationStream || !strings.Contains(string(e.Data), s.Incarnation()) {
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
		{"inclusive", esdb.ReadAllOptions{From: at(600)}, unlimited, 5, 600, 604},
		{"some", esdb.ReadAllOptions{From: at(2)}, 3, 3, 2, 4},
		{"end", esdb.ReadAllOptions{From: esdb.End{}}, unlimited, 0, 0, 0},
		{"backwards", esdb.ReadAllOptions{From: esdb.End{}, Direction: esdb.Backwards}, unlimited, 604, 604, 1},
		{"backwards exclusive", esdb.ReadAllOptions{From: at(4), Direction: esdb.Backwards}, unlimited, 3, 3, 1},
		{"backwards some", esdb.ReadAllOptions{From: esdb.End{}, Direction: esdb.Backwards}, 2, 2, 604, 603},
		{"backwards from the start", esdb.ReadAllOptions{From: esdb.Start{}, Direction: esdb.Backwards}, unlimited, 0, 0, 0},
	} {
		got := readAll(t, c, x.o, x.count)
		if len(got) != x.n || x.n > 0 && (got[0].Event.Position.Commit != x.first || got[x.n-1].Event.Position.Commit != x.last) {
			t.Errorf("%s: %d events, want %d from %d to %d", x.name, len(got), x.n, x.first, x.last)
		}
	}
}

func TestAppendLimit(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t, func(cfg *eventserver.Config) { cfg.MaxAppendBytes = 64 << 10 }))
	big := event(1)
	big.Data = bytes.Repeat([]byte("x"), 65<<10)
	for _, es := range [][]esdb.EventData{{big}, {event(0), big, event(2)}} {
		if _, err := c.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, es...); err == nil {
			t.Error("too large an append was accepted")
		}
	}
	big.Data = big.Data[:60<<10]
	appendTo(t, c, "s", esdb.NoStream{}, big)
}

func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(cfg *eventserver.Config) { cfg.Dir = dir }
	s := start(t, at)
	c := connect(t, s)
	es := events(10)
	r := appendTo(t, c, "s", esdb.NoStream{}, es...)
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
	if again := appendTo(t, c, "s", esdb.NoStream{}, es...); *again != *r {
		t.Errorf("repeat after a restart: %+v, first %+v", again, r)
	}
	if n := appendTo(t, c, "s", esdb.Revision(9), event(10)); n.CommitPosition != r.CommitPosition+1 || n.NextExpectedVersion != 10 {
		t.Errorf("append after a restart: %+v", n)
	}
}
