package eventserver_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// TestRepeatOfHiddenEvents: what is answered as appended is shown, also when events with the same ids are in the stream, but hidden,
// wholly or in part. What cannot be distinguished from a repeat of an append of which a part is hidden is refused.
func TestRepeatOfHiddenEvents(t *testing.T) {
	t.Parallel()
	var late atomic.Int64
	s := start(t, func(cfg *eventserver.Config) {
		cfg.Store.Now = func() time.Time { return time.Now().Add(-time.Hour + time.Duration(late.Load())) }
	})
	c := connect(t, s)
	describe := func(stream string, change func(*esdb.StreamMetadata)) {
		m := esdb.StreamMetadata{}
		change(&m)
		_, err := c.SetStreamMetadata(clienttest.Within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, m)
		clienttest.Must(t, err)
	}
	hiding := map[string]func(stream string){
		"deleted": func(stream string) {
			_, err := c.DeleteStream(clienttest.Within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}})
			clienttest.Must(t, err)
		},
		"deleted and begun anew": func(stream string) {
			_, err := c.DeleteStream(clienttest.Within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}})
			clienttest.Must(t, err)
			clienttest.Append(t, c, stream, esdb.NoStream{}, clienttest.Event(9))
		},
		"$tb":         func(stream string) { describe(stream, func(m *esdb.StreamMetadata) { m.SetTruncateBefore(3) }) },
		"$tb in part": func(stream string) { describe(stream, func(m *esdb.StreamMetadata) { m.SetTruncateBefore(1) }) },
		"$maxCount": func(stream string) {
			describe(stream, func(m *esdb.StreamMetadata) { m.SetMaxCount(2) })
			clienttest.Append(t, c, stream, esdb.Revision(2), clienttest.Events(2)...)
		},
		"$maxCount in part": func(stream string) { describe(stream, func(m *esdb.StreamMetadata) { m.SetMaxCount(2) }) },
		"$maxAge": func(stream string) {
			describe(stream, func(m *esdb.StreamMetadata) { m.SetMaxAge(time.Second) })
			late.Add(int64(2 * time.Second))
		},
	}
	written := 0
	for how, hide := range hiding {
		for _, first := range []esdb.ExpectedRevision{esdb.NoStream{}, esdb.Any{}} {
			for _, again := range []esdb.ExpectedRevision{esdb.NoStream{}, esdb.Any{}, esdb.StreamExists{}, esdb.Revision(0), esdb.Revision(2)} {
				name := fmt.Sprintf("%s, first %T, then %#v", how, first, again)
				stream, es := "s-"+name, clienttest.Events(3)
				clienttest.Append(t, c, stream, first, es...)
				hide(stream)
				if _, err := clienttest.TryAppend(t, c, stream, again, es...); err != nil {
					if code := clienttest.Code(err); code != esdb.ErrorCodeWrongExpectedVersion && code != esdb.ErrorCodeStreamDeleted {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				written++
				describe(stream, func(*esdb.StreamMetadata) {}) // what was hidden before stays out of the count below
				shown := map[string]bool{}
				for _, e := range clienttest.ReadStream(t, c, stream, esdb.ReadStreamOptions{From: esdb.Revision(3)}, clienttest.Unlimited) {
					shown[e.Event.EventID.String()] = true
				}
				for i := range es {
					if !shown[es[i].EventID.String()] {
						t.Errorf("%s: answered as appended, but event %d is not shown", name, i)
					}
				}
			}
		}
	}
	if written < 20 {
		t.Errorf("only %d appends were accepted", written)
	}
}
