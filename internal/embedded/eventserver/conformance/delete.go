package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

var deleteCases = []testCase{
	{name: "soft delete", run: softDelete},
	{name: "tombstone", run: tombstone},
	{name: "limits", run: limits},
	{name: "metadata before the stream", run: metadataFirst},
}

func softDelete(t *testing.T, s *suite) {
	c, stream := s.admin, unique("deleted")
	appendTo(t, c, stream, esdb.NoStream{}, events(3)...)
	if _, err := c.DeleteStream(within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.Revision(1)}); err == nil ||
		!strings.Contains(err.Error(), "WrongExpectedVersion. Stream: "+stream+", Expected version: 1, Actual version: 2") {
		t.Errorf("delete at another revision: %v", err)
	}
	r, err := c.DeleteStream(within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.Revision(2)})
	if err != nil || r.Position.Commit == 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if err := firstOf(t, c, stream); code(err) != esdb.ErrorCodeResourceNotFound {
		t.Errorf("read of a deleted stream: %v", err)
	}
	if _, err = tryAppend(t, c, stream, esdb.StreamExists{}, event(1)); code(err) != esdb.ErrorCodeWrongExpectedVersion {
		t.Errorf("append to a deleted stream that must exist: %v", err)
	}
	// Written again it goes on with its revisions, and shows only what is new.
	again := event(3)
	if w := appendTo(t, c, stream, esdb.NoStream{}, again, event(4)); w.NextExpectedVersion != 4 {
		t.Errorf("revisions go on at %d, want 4", w.NextExpectedVersion)
	}
	got := readStream(t, c, stream, esdb.ReadStreamOptions{}, unlimited)
	if len(got) != 2 || got[0].Event.EventNumber != 3 || got[0].Event.EventID != again.EventID {
		t.Errorf("%d events shown", len(got))
	}
	meta, err := c.GetStreamMetadata(within(t), stream, esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards})
	if err != nil || meta.TruncateBefore() == nil || *meta.TruncateBefore() != 3 {
		t.Errorf("metadata %+v %v, want $tb 3", meta, err)
	}
}

func tombstone(t *testing.T, s *suite) {
	c, stream := s.admin, unique("tombstoned")
	before := appendTo(t, c, stream, esdb.NoStream{}, events(3)...)
	sub, err := c.SubscribeToStream(within(t), stream, esdb.SubscribeToStreamOptions{From: esdb.End{}})
	must(t, err)
	defer func() { _ = sub.Close() }()
	r, err := c.TombstoneStream(within(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Revision(2)})
	if err != nil || r.Position.Commit <= before.CommitPosition {
		t.Fatalf("%+v %v", r, err)
	}
	if err := firstOf(t, c, stream); code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("read: %v", err)
	}
	if _, err = tryAppend(t, c, stream, esdb.Any{}, event(1)); code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("append: %v", err)
	}
	if _, err = c.TombstoneStream(within(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}}); code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("second tombstone: %v", err)
	}
	for {
		if e := sub.Recv(); e.SubscriptionDropped != nil {
			break
		}
	}
	for _, e := range readAll(t, c, esdb.ReadAllOptions{From: esdb.Position{Commit: before.CommitPosition, Prepare: before.PreparePosition}}, unlimited) {
		if o := e.OriginalEvent(); o.StreamID == stream && o.EventType == "$streamDeleted" {
			return
		}
	}
	t.Error("$all does not show the tombstone")
}

func limits(t *testing.T, s *suite) {
	c, stream := s.admin, unique("limited")
	shown := func() (first, n uint64) {
		got := readStream(t, c, stream, esdb.ReadStreamOptions{}, unlimited)
		if len(got) > 0 {
			first = got[0].Event.EventNumber
		}
		back := readStream(t, c, stream, esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, unlimited)
		if len(back) != len(got) || len(back) > 0 && back[len(back)-1].Event.EventNumber != first {
			t.Errorf("%d events forwards, %d backwards", len(got), len(back))
		}
		return first, uint64(len(got))
	}
	set := func(change func(*esdb.StreamMetadata)) {
		m := esdb.StreamMetadata{}
		change(&m)
		_, err := c.SetStreamMetadata(within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, m)
		must(t, err)
	}
	appendTo(t, c, stream, esdb.NoStream{}, events(20)...)
	set(func(m *esdb.StreamMetadata) { m.SetMaxCount(5) })
	if first, n := shown(); first != 15 || n != 5 {
		t.Errorf("$maxCount 5: %d from %d", n, first)
	}
	appendTo(t, c, stream, esdb.Revision(19), events(2)...)
	if first, n := shown(); first != 17 || n != 5 {
		t.Errorf("$maxCount 5 after more: %d from %d", n, first)
	}
	set(func(m *esdb.StreamMetadata) { m.SetTruncateBefore(21) })
	if first, n := shown(); first != 21 || n != 1 {
		t.Errorf("$tb 21: %d from %d", n, first)
	}
	set(func(m *esdb.StreamMetadata) { m.SetTruncateBefore(100) })
	if _, n := shown(); n != 0 {
		t.Errorf("$tb beyond the end: %d", n)
	}
	appendTo(t, c, stream, esdb.Revision(21), event(22)) // the revision still counts
	set(func(*esdb.StreamMetadata) {})
	if first, n := shown(); first != 0 || n != 23 {
		t.Errorf("no limits: %d from %d", n, first)
	}
	set(func(m *esdb.StreamMetadata) { m.SetMaxAge(time.Hour) })
	if _, n := shown(); n != 23 {
		t.Errorf("$maxAge of an hour: %d", n)
	}
	set(func(m *esdb.StreamMetadata) { m.SetMaxAge(time.Second) })
	eventually(t, "$maxAge of a second hides the events", func() bool {
		return len(readStream(t, c, stream, esdb.ReadStreamOptions{}, unlimited)) == 0
	})
	if n := len(readStream(t, c, "$$"+stream, esdb.ReadStreamOptions{}, unlimited)); n != 1 {
		t.Errorf("the metadata stream shows %d events, want 1", n)
	}
}

// metadataFirst: a stream with metadata only does not exist for readers, but may be expected to exist.
func metadataFirst(t *testing.T, s *suite) {
	c, stream := s.admin, unique("later")
	m := esdb.StreamMetadata{}
	m.SetMaxCount(1)
	_, err := c.SetStreamMetadata(within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, m)
	must(t, err)
	if err := firstOf(t, c, stream); code(err) != esdb.ErrorCodeResourceNotFound {
		t.Errorf("metadata only: %v", err)
	}
	appendTo(t, c, stream, esdb.StreamExists{}, events(2)...)
	if got := readStream(t, c, stream, esdb.ReadStreamOptions{}, unlimited); len(got) != 1 || got[0].Event.EventNumber != 1 {
		t.Errorf("metadata came first: %d events", len(got))
	}
}
