package eventserver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

// firstOf reads one event of a stream and gives its error.
func firstOf(t *testing.T, c *esdb.Client, stream string) error {
	t.Helper()
	r, err := c.ReadStream(within(t), stream, esdb.ReadStreamOptions{}, 1)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.Recv()
	return err
}

func TestSoftDelete(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	appendTo(t, c, "s", esdb.NoStream{}, events(3)...)
	if _, err := c.DeleteStream(within(t), "s", esdb.DeleteStreamOptions{ExpectedRevision: esdb.Revision(1)}); err == nil ||
		!strings.Contains(err.Error(), "WrongExpectedVersion. Stream: s, Expected version: 1, Actual version: 2") {
		t.Errorf("delete at another revision: %v", err)
	}
	r, err := c.DeleteStream(within(t), "s", esdb.DeleteStreamOptions{ExpectedRevision: esdb.Revision(2)})
	if err != nil || r.Position.Commit == 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if err := firstOf(t, c, "s"); code(err) != esdb.ErrorCodeResourceNotFound {
		t.Errorf("read of a deleted stream: %v", err)
	}
	_, err = c.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.StreamExists{}}, event(1))
	if code(err) != esdb.ErrorCodeWrongExpectedVersion {
		t.Errorf("append to a deleted stream that must exist: %v", err)
	}
	// Written again it goes on with its revisions, and shows only what is new.
	again := event(3)
	w := appendTo(t, c, "s", esdb.NoStream{}, again, event(4))
	if w.NextExpectedVersion != 4 {
		t.Errorf("revisions go on at %d, want 4", w.NextExpectedVersion)
	}
	got := readStream(t, c, "s", esdb.ReadStreamOptions{}, unlimited)
	if len(got) != 2 || got[0].Event.EventNumber != 3 || got[0].Event.EventID != again.EventID {
		t.Errorf("%d events shown, first %+v", len(got), got[0].Event)
	}
	meta, err := c.GetStreamMetadata(within(t), "s", esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards})
	if err != nil || meta.TruncateBefore() == nil || *meta.TruncateBefore() != 3 {
		t.Errorf("metadata %+v %v, want $tb 3", meta, err)
	}
	if n := len(readAll(t, c, esdb.ReadAllOptions{}, unlimited)); n != 1+5+2 {
		t.Errorf("$all has %d events, want 8", n)
	}
}

func TestTombstone(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connect(t, s)
	appendTo(t, c, "s", esdb.NoStream{}, events(3)...)
	sub, err := c.SubscribeToStream(within(t), "s", esdb.SubscribeToStreamOptions{From: esdb.End{}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	r, err := c.TombstoneStream(within(t), "s", esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Revision(2)})
	if err != nil || r.Position.Commit != 5 {
		t.Fatalf("%+v %v", r, err)
	}
	if err := firstOf(t, c, "s"); code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("read: %v", err)
	}
	_, err = c.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, event(1))
	if code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("append: %v", err)
	}
	if _, err = c.TombstoneStream(within(t), "s", esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}}); code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("second tombstone: %v", err)
	}
	for {
		if e := sub.Recv(); e.SubscriptionDropped != nil {
			break
		}
	}
	last := readAll(t, c, esdb.ReadAllOptions{From: esdb.End{}, Direction: esdb.Backwards}, 1)[0].Event
	if last.EventType != "$streamDeleted" || last.StreamID != "s" {
		t.Errorf("$all ends with %+v", last)
	}
}

func TestStreamLimits(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	shown := func(stream string) (first, n uint64) {
		got := readStream(t, c, stream, esdb.ReadStreamOptions{}, unlimited)
		if len(got) > 0 {
			first = got[0].Event.EventNumber
		}
		back := readStream(t, c, stream, esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, unlimited)
		if len(back) != len(got) || len(back) > 0 && back[len(back)-1].Event.EventNumber != first {
			t.Errorf("%s: %d events forwards, %d backwards", stream, len(got), len(back))
		}
		return first, uint64(len(got))
	}
	set := func(stream string, change func(*esdb.StreamMetadata)) {
		m := esdb.StreamMetadata{}
		change(&m)
		if _, err := c.SetStreamMetadata(within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, m); err != nil {
			t.Fatal(err)
		}
	}
	appendTo(t, c, "s", esdb.NoStream{}, events(20)...)
	set("s", func(m *esdb.StreamMetadata) { m.SetMaxCount(5) })
	if first, n := shown("s"); first != 15 || n != 5 {
		t.Errorf("$maxCount 5: %d from %d", n, first)
	}
	appendTo(t, c, "s", esdb.Revision(19), events(2)...)
	if first, n := shown("s"); first != 17 || n != 5 {
		t.Errorf("$maxCount 5 after more: %d from %d", n, first)
	}
	set("s", func(m *esdb.StreamMetadata) { m.SetTruncateBefore(21) })
	if first, n := shown("s"); first != 21 || n != 1 {
		t.Errorf("$tb 21: %d from %d", n, first)
	}
	set("s", func(m *esdb.StreamMetadata) { m.SetTruncateBefore(100) })
	if _, n := shown("s"); n != 0 {
		t.Errorf("$tb beyond the end: %d", n)
	}
	appendTo(t, c, "s", esdb.Revision(21), event(22)) // the revision still counts
	set("s", func(*esdb.StreamMetadata) {})
	if first, n := shown("s"); first != 0 || n != 23 {
		t.Errorf("no limits: %d from %d", n, first)
	}
	set("s", func(m *esdb.StreamMetadata) { m.SetMaxAge(time.Hour) })
	if _, n := shown("s"); n != 23 {
		t.Errorf("$maxAge of an hour: %d", n)
	}
	set("s", func(m *esdb.StreamMetadata) { m.SetMaxAge(time.Second) })
	for deadline := time.Now().Add(20 * time.Second); ; {
		if len(readStream(t, c, "s", esdb.ReadStreamOptions{}, unlimited)) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("$maxAge of a second: still shown")
		}
	}
	if n := len(readStream(t, c, "$$s", esdb.ReadStreamOptions{}, unlimited)); n != 1 {
		t.Errorf("the metadata stream shows %d events, want 1", n)
	}
	// A stream with metadata only does not exist for readers, but may be expected to exist.
	set("later", func(m *esdb.StreamMetadata) { m.SetMaxCount(1) })
	if err := firstOf(t, c, "later"); code(err) != esdb.ErrorCodeResourceNotFound {
		t.Errorf("metadata only: %v", err)
	}
	appendTo(t, c, "later", esdb.StreamExists{}, events(2)...)
	if first, n := shown("later"); first != 1 || n != 1 {
		t.Errorf("metadata came first: %d from %d", n, first)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	es := events(3)
	appendTo(t, c, "target", esdb.NoStream{}, es...)
	link := func(data string) esdb.EventData {
		e := event(0)
		e.EventType, e.ContentType, e.Data = "$>", esdb.ContentTypeBinary, []byte(data)
		return e
	}
	links := []esdb.EventData{link("1@target"), link("9@target"), link("0@absent"), link("nonsense")}
	appendTo(t, c, "links", esdb.NoStream{}, links...)
	got := readStream(t, c, "links", esdb.ReadStreamOptions{ResolveLinkTos: true}, unlimited)
	if len(got) != 4 || got[0].Event == nil || got[0].Event.EventID != es[1].EventID || got[0].Link.EventID != links[0].EventID {
		t.Fatalf("%d events, first %+v", len(got), got[0])
	}
	for i, e := range got[1:] {
		if e.Event != nil || e.Link == nil || e.Link.EventID != links[i+1].EventID {
			t.Errorf("link to nothing %d: %+v", i, e)
		}
	}
	for i, e := range readStream(t, c, "links", esdb.ReadStreamOptions{}, unlimited) {
		if e.Link != nil || e.Event.EventID != links[i].EventID {
			t.Errorf("unresolved link %d: %+v", i, e)
		}
	}
	sub, err := c.SubscribeToStream(within(t), "links", esdb.SubscribeToStreamOptions{From: esdb.Start{}, ResolveLinkTos: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if e := next(t, sub); e.Event.EventID != es[1].EventID {
		t.Errorf("subscription: %+v", e)
	}
}
