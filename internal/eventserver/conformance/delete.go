package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

var deleteCases = []testCase{
	{name: "soft delete", run: softDelete},
	{name: "tombstone", run: tombstone},
	{name: "limits", run: limits},
	{name: "limits as they are written", run: limitsWritten},
	{name: "metadata before the stream", run: metadataFirst},
	{name: "deletes of what is not there", run: deleteAbsent},
	{name: "deletes of what is deleted", run: deleteAgain},
	{name: "metadata of a tombstoned stream", run: tombstonedMetadata},
	{name: "metadata brings a deleted stream back", run: metadataUndeletes},
}

var expectations = []esdb.ExpectedRevision{esdb.Any{}, esdb.NoStream{}, esdb.StreamExists{}, esdb.Revision(0)}

// deleteAbsent: a stream that never was cannot be deleted, whatever is expected. It can be ended by a tombstone.
func deleteAbsent(t *testing.T, s *suite) {
	c := s.admin
	for _, at := range expectations {
		stream := unique("absent")
		if _, err := c.DeleteStream(clienttest.Within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: at}); err == nil ||
			!strings.Contains(err.Error(), "WrongExpectedVersion. Stream: "+stream) || !strings.Contains(err.Error(), "Actual version: -1") {
			t.Errorf("delete at %T: %v", at, err)
		}
		if err := clienttest.FirstOf(t, c, "$$"+stream); clienttest.Code(err) != esdb.ErrorCodeResourceNotFound {
			t.Errorf("delete at %T left metadata: %v", at, err)
		}
		_, err := c.TombstoneStream(clienttest.Within(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: at})
		switch at.(type) {
		case esdb.Any, esdb.NoStream:
			clienttest.Must(t, err)
			if err := clienttest.FirstOf(t, c, stream); clienttest.Code(err) != esdb.ErrorCodeStreamDeleted {
				t.Errorf("read behind a tombstone at %T: %v", at, err)
			}
		default:
			if err == nil || !strings.Contains(err.Error(), "Actual version: -1") {
				t.Errorf("tombstone at %T: %v", at, err)
			}
		}
	}
	// One that has metadata only was there.
	stream := unique("described")
	_, err := c.SetStreamMetadata(clienttest.Within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, esdb.StreamMetadata{})
	clienttest.Must(t, err)
	_, err = c.DeleteStream(clienttest.Within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.NoStream{}})
	clienttest.Must(t, err)
}

// deleteAgain: a deleted stream can be deleted again, unless it is expected to exist.
func deleteAgain(t *testing.T, s *suite) {
	c, stream := s.admin, unique("again")
	clienttest.Append(t, c, stream, esdb.NoStream{}, clienttest.Event(0))
	for _, at := range []esdb.ExpectedRevision{esdb.StreamExists{}, esdb.Any{}, esdb.NoStream{}, esdb.Revision(0)} {
		_, err := c.DeleteStream(clienttest.Within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: at})
		clienttest.Must(t, err)
	}
	_, err := c.DeleteStream(clienttest.Within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.StreamExists{}})
	if clienttest.Code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("delete of a deleted stream that must exist: %v", err)
	}
	_, err = c.TombstoneStream(clienttest.Within(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.StreamExists{}})
	if clienttest.Code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("tombstone of a deleted stream that must exist: %v", err)
	}
	_, err = c.TombstoneStream(clienttest.Within(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}})
	clienttest.Must(t, err)
}

// tombstonedMetadata: the metadata stream ends with its stream.
func tombstonedMetadata(t *testing.T, s *suite) {
	c := s.admin
	for _, described := range []bool{false, true} {
		stream := unique("ended")
		if described {
			_, err := c.SetStreamMetadata(clienttest.Within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, esdb.StreamMetadata{})
			clienttest.Must(t, err)
		}
		clienttest.Append(t, c, stream, esdb.NoStream{}, clienttest.Event(0))
		_, err := c.TombstoneStream(clienttest.Within(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}})
		clienttest.Must(t, err)
		if err := clienttest.FirstOf(t, c, "$$"+stream); clienttest.Code(err) != esdb.ErrorCodeStreamDeleted {
			t.Errorf("read of the metadata, described %v: %v", described, err)
		}
	}
}

// metadataUndeletes: a stream that was deleted is there again when its metadata is written, and shows nothing of what it held.
func metadataUndeletes(t *testing.T, s *suite) {
	c, stream := s.admin, unique("back")
	clienttest.Append(t, c, stream, esdb.NoStream{}, clienttest.Events(2)...)
	_, err := c.DeleteStream(clienttest.Within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}})
	clienttest.Must(t, err)
	m := esdb.StreamMetadata{}
	m.SetMaxCount(7)
	_, err = c.SetStreamMetadata(clienttest.Within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, m)
	clienttest.Must(t, err)
	if got := clienttest.ReadStream(t, c, stream, esdb.ReadStreamOptions{}, clienttest.Unlimited); len(got) != 0 {
		t.Errorf("%d events of what was deleted", len(got))
	}
	meta, err := c.GetStreamMetadata(clienttest.Within(t), stream, esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards})
	if err != nil || meta.TruncateBefore() == nil || *meta.TruncateBefore() != 2 || meta.MaxCount() == nil || *meta.MaxCount() != 7 {
		t.Errorf("metadata %+v %v, want $tb 2 and $maxCount 7", meta, err)
	}
}

func softDelete(t *testing.T, s *suite) {
	c, stream := s.admin, unique("deleted")
	clienttest.Append(t, c, stream, esdb.NoStream{}, clienttest.Events(3)...)
	if _, err := c.DeleteStream(clienttest.Within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.Revision(1)}); err == nil ||
		!strings.Contains(err.Error(), "WrongExpectedVersion. Stream: "+stream+", Expected version: 1, Actual version: 2") {
		t.Errorf("delete at another revision: %v", err)
	}
	r, err := c.DeleteStream(clienttest.Within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.Revision(2)})
	if err != nil || r.Position.Commit == 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if err := clienttest.FirstOf(t, c, stream); clienttest.Code(err) != esdb.ErrorCodeResourceNotFound {
		t.Errorf("read of a deleted stream: %v", err)
	}
	if _, err = clienttest.TryAppend(t, c, stream, esdb.StreamExists{}, clienttest.Event(1)); clienttest.Code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("append to a deleted stream that must exist: %v", err)
	}
	// Written again it goes on with its revisions, and shows only what is new.
	again := clienttest.Event(3)
	if w := clienttest.Append(t, c, stream, esdb.NoStream{}, again, clienttest.Event(4)); w.NextExpectedVersion != 4 {
		t.Errorf("revisions go on at %d, want 4", w.NextExpectedVersion)
	}
	got := clienttest.ReadStream(t, c, stream, esdb.ReadStreamOptions{}, clienttest.Unlimited)
	if len(got) != 2 || got[0].Event.EventNumber != 3 || got[0].Event.EventID != again.EventID {
		t.Errorf("%d events shown", len(got))
	}
	meta, err := c.GetStreamMetadata(clienttest.Within(t), stream, esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards})
	if err != nil || meta.TruncateBefore() == nil || *meta.TruncateBefore() != 3 {
		t.Errorf("metadata %+v %v, want $tb 3", meta, err)
	}
}

func tombstone(t *testing.T, s *suite) {
	c, stream := s.admin, unique("tombstoned")
	before := clienttest.Append(t, c, stream, esdb.NoStream{}, clienttest.Events(3)...)
	sub, err := c.SubscribeToStream(clienttest.Within(t), stream, esdb.SubscribeToStreamOptions{From: esdb.End{}})
	clienttest.Must(t, err)
	defer func() { _ = sub.Close() }()
	r, err := c.TombstoneStream(clienttest.Within(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Revision(2)})
	if err != nil || r.Position.Commit <= before.CommitPosition {
		t.Fatalf("%+v %v", r, err)
	}
	if err := clienttest.FirstOf(t, c, stream); clienttest.Code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("read: %v", err)
	}
	if _, err = clienttest.TryAppend(t, c, stream, esdb.Any{}, clienttest.Event(1)); clienttest.Code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("append: %v", err)
	}
	if _, err = c.TombstoneStream(clienttest.Within(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}}); clienttest.Code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("second tombstone: %v", err)
	}
	for {
		if e := sub.Recv(); e.SubscriptionDropped != nil {
			break
		}
	}
	for _, e := range clienttest.ReadAll(t, c, esdb.ReadAllOptions{From: esdb.Position{Commit: before.CommitPosition, Prepare: before.PreparePosition}}, clienttest.Unlimited) {
		if o := e.OriginalEvent(); o.StreamID == stream && o.EventType == "$streamDeleted" {
			return
		}
	}
	t.Error("$all does not show the tombstone")
}

func limits(t *testing.T, s *suite) {
	c, stream := s.admin, unique("limited")
	shown := func() (first, n uint64) {
		got := clienttest.ReadStream(t, c, stream, esdb.ReadStreamOptions{}, clienttest.Unlimited)
		if len(got) > 0 {
			first = got[0].Event.EventNumber
		}
		back := clienttest.ReadStream(t, c, stream, esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, clienttest.Unlimited)
		if len(back) != len(got) || len(back) > 0 && back[len(back)-1].Event.EventNumber != first {
			t.Errorf("%d events forwards, %d backwards", len(got), len(back))
		}
		return first, uint64(len(got))
	}
	set := func(change func(*esdb.StreamMetadata)) {
		m := esdb.StreamMetadata{}
		change(&m)
		_, err := c.SetStreamMetadata(clienttest.Within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, m)
		clienttest.Must(t, err)
	}
	clienttest.Append(t, c, stream, esdb.NoStream{}, clienttest.Events(20)...)
	set(func(m *esdb.StreamMetadata) { m.SetMaxCount(5) })
	if first, n := shown(); first != 15 || n != 5 {
		t.Errorf("$maxCount 5: %d from %d", n, first)
	}
	clienttest.Append(t, c, stream, esdb.Revision(19), clienttest.Events(2)...)
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
	clienttest.Append(t, c, stream, esdb.Revision(21), clienttest.Event(22)) // the revision still counts
	set(func(*esdb.StreamMetadata) {})
	if first, n := shown(); first != 0 || n != 23 {
		t.Errorf("no limits: %d from %d", n, first)
	}
	set(func(m *esdb.StreamMetadata) { m.SetMaxAge(time.Hour) })
	if _, n := shown(); n != 23 {
		t.Errorf("$maxAge of an hour: %d", n)
	}
	set(func(m *esdb.StreamMetadata) { m.SetMaxAge(time.Second) })
	clienttest.Eventually(t, "$maxAge of a second hides the events", func() bool {
		return len(clienttest.ReadStream(t, c, stream, esdb.ReadStreamOptions{}, clienttest.Unlimited)) == 0
	})
	if n := len(clienttest.ReadStream(t, c, "$$"+stream, esdb.ReadStreamOptions{}, clienttest.Unlimited)); n != 1 {
		t.Errorf("the metadata stream shows %d events, want 1", n)
	}
}

// limitsWritten: names are exact, and one field that cannot be understood makes the whole metadata say nothing.
func limitsWritten(t *testing.T, s *suite) {
	for metadata, shown := range map[string]int{`{"$tb":2}`: 1, `{"$TB":2}`: 3, `{"$maxCount":1}`: 1, `{"$MaxCount":1}`: 3, `{"$maxCount":null,"$tb":2}`: 3,
		`{"$maxCount":"1","$tb":2}`: 3, `{"$maxCount":-1,"$tb":2}`: 1, `{"$maxCount":2,"$tb":1}`: 2, `{"$maxCount":1,"$tb":1}`: 1, `{"$maxCount":5,"$tb":2}`: 1} {
		stream := unique("written")
		clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Events(3)...)
		clienttest.Append(t, s.admin, "$$"+stream, esdb.NoStream{}, esdb.EventData{EventType: "$metadata", ContentType: esdb.ContentTypeJson, Data: []byte(metadata)})
		if got := clienttest.ReadStream(t, s.admin, stream, esdb.ReadStreamOptions{}, clienttest.Unlimited); len(got) != shown {
			t.Errorf("%s shows %d of 3 events, want %d", metadata, len(got), shown)
		}
	}
}

// metadataFirst: a stream with metadata only does not exist for readers, but may be expected to exist.
func metadataFirst(t *testing.T, s *suite) {
	c, stream := s.admin, unique("later")
	m := esdb.StreamMetadata{}
	m.SetMaxCount(1)
	_, err := c.SetStreamMetadata(clienttest.Within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, m)
	clienttest.Must(t, err)
	if err := clienttest.FirstOf(t, c, stream); clienttest.Code(err) != esdb.ErrorCodeResourceNotFound {
		t.Errorf("metadata only: %v", err)
	}
	clienttest.Append(t, c, stream, esdb.StreamExists{}, clienttest.Events(2)...)
	if got := clienttest.ReadStream(t, c, stream, esdb.ReadStreamOptions{}, clienttest.Unlimited); len(got) != 1 || got[0].Event.EventNumber != 1 {
		t.Errorf("metadata came first: %d events", len(got))
	}
}
