package eventserver_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// fixture stands for the database that the official Go client's tests read: 2,000 streams there, here those that are looked at. Events
// that the tests know stand in it as they know them, in the same order; between them, where a stream needs it, others. Positions are
// ours, so that the files of what is expected are written anew with them, and nothing else.
type fixture struct {
	dir       string
	dump      []byte
	positions map[uint64]uint64 // ours, by theirs
	lines     []store.Line
	known     map[uuid.UUID]uint64
	files     map[string][]map[string]any
}

type upstreamEvent struct {
	Event struct {
		StreamID       string
		StreamRevision struct{ Value uint64 }
		EventID        uuid.UUID
		EventType      string
		EventData      []int
		UserMetadata   []int
		ContentType    string
		Position       struct{ Commit uint64 }
		Created        struct{ Seconds, Nanos int64 }
	}
}

func (e *upstreamEvent) line() store.Line {
	v := &e.Event
	raw := func(ns []int) []byte {
		b := make([]byte, len(ns))
		for i, n := range ns {
			b[i] = byte(n) //nolint:gosec // a byte
		}
		return b
	}
	return store.Line{Position: v.Position.Commit, Stream: v.StreamID, Revision: v.StreamRevision.Value, ID: v.EventID, Type: v.EventType,
		Created: v.Created.Seconds*1e7 + v.Created.Nanos/100, JSON: v.ContentType == "application/json", Bytes: raw(v.EventData), MetaBytes: raw(v.UserMetadata)}
}

const (
	theirDataset = 137783     // before it the database's first events; behind it the data set
	theirEnd     = 20_000_000 // behind it what the database wrote when it was closed
)

func newFixture(t *testing.T, dir string) *fixture {
	t.Helper()
	f := &fixture{dir: dir, positions: map[uint64]uint64{}, known: map[uuid.UUID]uint64{}, files: map[string][]map[string]any{}}
	known := map[string]store.Line{}
	var first, last []store.Line
	for _, name := range []string{"all-e0-e10", "all-c1788-p1788", "all-back-c3386-p3386", "all-back-e0-e10", "dataset20M-1800-e0-e10", "dataset20M-1800-e1999-e1990"} {
		b, err := os.ReadFile(filepath.Join(dir, name+".json"))
		clienttest.Must(t, err)
		var es []upstreamEvent
		clienttest.Must(t, json.Unmarshal(b, &es))
		var generic []map[string]any
		clienttest.Must(t, json.Unmarshal(b, &generic))
		f.files[name] = generic
		for i := range es {
			l := es[i].line()
			place := fmt.Sprintf("%d@%s", l.Revision, l.Stream)
			if _, twice := known[place]; twice {
				continue
			}
			known[place] = l
			switch {
			case l.Position < theirDataset:
				first = append(first, l)
			case l.Position > theirEnd:
				last = append(last, l)
			}
		}
	}
	byPosition := func(a, b store.Line) int { return int(a.Position) - int(b.Position) } //nolint:gosec // small
	slices.SortFunc(first, byPosition)
	slices.SortFunc(last, byPosition)
	next := map[string]uint64{}
	add := func(l store.Line) {
		if n := len(f.lines); n > 0 {
			l.Created = max(l.Created, f.lines[n-1].Created)
		}
		f.lines = append(f.lines, l)
		next[l.Stream] = l.Revision + 1
	}
	fill := func(stream string, to uint64, kind func(uint64) string) {
		for n := next[stream]; n < to; n++ {
			l, ok := known[fmt.Sprintf("%d@%s", n, stream)]
			if !ok {
				l = store.Line{Stream: stream, Revision: n, ID: uuid.New(), Type: kind(n), JSON: true, Bytes: []byte("{}")}
			}
			add(l)
		}
	}
	dataset := func(from uint64) func(uint64) string {
		return func(n uint64) string { return fmt.Sprintf("eventType-%d", from+n%200) }
	}
	for _, l := range first {
		add(l)
	}
	fill("dataset20M-0", 2000, dataset(0))
	fill("dataset20M-1800", 2000, dataset(1800))
	fill("dataset20M-0", 6000, dataset(0))
	for _, l := range last {
		fill(l.Stream, min(l.Revision, lowest(last, l.Stream)), func(uint64) string { return "$filler" })
	}
	for _, l := range last {
		add(l)
	}
	var dump strings.Builder
	for i := range f.lines {
		l := &f.lines[i]
		if l.Position > 0 {
			f.positions[l.Position] = uint64(i) + 2 // behind the event that says which history this is
			f.known[l.ID] = uint64(i) + 2
		}
		b, err := json.Marshal(l)
		clienttest.Must(t, err)
		dump.Write(append(b, '\n'))
	}
	f.dump = []byte(dump.String())
	return f
}

func lowest(ls []store.Line, stream string) uint64 {
	n := ^uint64(0)
	for _, l := range ls {
		if l.Stream == stream {
			n = min(n, l.Revision)
		}
	}
	return n
}

// expect writes what the tests expect anew, with our positions. Before everything comes our own first event.
func (f *fixture) expect(t *testing.T, c *esdb.Client) {
	t.Helper()
	save := func(name string, v any) {
		b, err := json.Marshal(v)
		clienttest.Must(t, err)
		clienttest.Must(t, os.WriteFile(filepath.Join(f.dir, name+".json"), b, 0o600))
	}
	for name, es := range f.files {
		out := make([]any, 0, len(es)+1)
		if name == "all-e0-e10" {
			o := clienttest.ReadAll(t, c, esdb.ReadAllOptions{}, 1)[0].OriginalEvent()
			out = append(out, map[string]any{"event": map[string]any{"streamId": o.StreamID, "streamRevision": map[string]any{"value": o.EventNumber},
				"eventId": o.EventID, "eventType": o.EventType, "contentType": o.ContentType, "position": position(o.Position.Commit),
				"created": map[string]any{"seconds": o.CreatedDate.Unix(), "nanos": o.CreatedDate.Nanosecond()}}})
		}
		for _, e := range es {
			e, ok := e["event"].(map[string]any)
			id, isText := e["eventId"].(string)
			if !ok || !isText {
				t.Fatalf("%s: %v is no event", name, e)
			}
			e["position"] = position(f.known[uuid.MustParse(id)])
			out = append(out, map[string]any{"event": e})
		}
		save(name, out)
	}
	var positions []any
	for i, l := range f.lines {
		if strings.HasPrefix(l.Type, "eventType-194") && len(positions) < 30 {
			positions = append(positions, position(uint64(i)+2))
		}
	}
	save("all-positions-filtered-stream-194-e0-e30", positions)
}

func position(n uint64) map[string]any { return map[string]any{"commit": n, "prepare": n} }

// connectAs connects to a server as its admin, if it asks who calls.
func connectAs(t *testing.T, s *eventserver.Server, secure bool) *esdb.Client {
	t.Helper()
	if secure {
		return client(t, as(s, "admin", "changeit"), nil)
	}
	return connect(t, s)
}
