package store

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func batchOf(n int) []Event {
	es := make([]Event, n)
	for i := range es {
		es[i] = Event{ID: newID(), Type: "t", Data: []byte("data")}
	}
	return es
}

// TestManyEventsFoundByTheirIDs: a stream that was appended to at its revisions, much further than one group commit puts in the
// index, knows all of its events when a request asks by ids, also one that is sent again before the index is complete, also after
// a restart; and other streams are served meanwhile.
func TestManyEventsFoundByTheirIDs(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: "data", FS: vfs.NewMem()}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	const n = 20*namedAtOnce + 7
	es := batchOf(n)
	for i := 0; i < n; i += 100 {
		if res := s.Do(Request{Stream: "s", Expected: Expected(i - 1), Events: es[i:min(i+100, n)]}); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	results := make(chan Result, 20)
	for i := range 10 {
		for _, r := range []Request{{Stream: "s", Expected: ExpectAny, Events: es[i*n/10 : i*n/10+3]}, {Stream: "other", Expected: ExpectAny, Events: batchOf(1)}} {
			r.Done = func(res Result) { results <- res }
			s.Submit(&Source{}, &r)
		}
	}
	for range cap(results) {
		if res := <-results; res.Err != nil {
			t.Error(res.Err)
		}
	}
	for range 2 {
		for _, at := range []int{0, 1, namedAtOnce, n / 2, n - 1} {
			res := s.Do(Request{Stream: "s", Expected: ExpectExists, Events: es[at : at+1]})
			if res.Err != nil || res.Revision != int64(at) {
				t.Errorf("a repeat of event %d was answered %+v", at, res)
			}
		}
		if v, err := s.View(t.Context(), "s"); err != nil || v.Last != n-1 {
			t.Errorf("%+v %v, want %d events", v, err, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(cfg); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestScavengedIDsLeaveTheIndex: the index of ids gives space back as the events do, but keeps what was appended anew.
func TestScavengedIDsLeaveTheIndex(t *testing.T) {
	t.Parallel()
	s, err := Open(Config{Dir: "data", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	es := batchOf(10)
	for _, r := range []Request{
		{Stream: "s", Expected: ExpectAny, Events: es},
		metadata("s", `{"$tb":8}`),
		{Stream: "s", Expected: ExpectAny, Events: es[:1]}, // hidden, so that it is new
	} {
		if res := s.Do(r); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	if got, err := s.Scavenge(t.Context()); err != nil || got.Events != 8 {
		t.Fatalf("%+v %v", got, err)
	}
	for i := range es {
		_, closer, err := s.db.Get(idKey(nil, "s", es[i].ID))
		if kept := i == 0 || i >= 8; kept != (err == nil) || err != nil && !errors.Is(err, pebble.ErrNotFound) {
			t.Errorf("event %d: %v", i, err)
		}
		if err == nil {
			_ = closer.Close()
		}
	}
	if res := s.Do(Request{Stream: "s", Expected: ExpectAny, Events: es[:1]}); res.Err != nil || res.Revision != 10 {
		t.Errorf("a repeat of what was appended anew: %+v", res)
	}
}

// TestHeadsOfEarlierVersions lack how far the index of ids goes: it goes nowhere then.
func TestHeadsOfEarlierVersions(t *testing.T) {
	t.Parallel()
	h := head{last: 5, pos: 9, first: 2, metaPos: 4, meta: Limits{MaxCount: 3}}
	old := h.encode(nil, "s")
	old = old[:len(old)-1] // the field is one byte of zero
	binary.BigEndian.PutUint32(old, headChecksum("s", old[4:]))
	if got, err := decodeHead("s", old); err != nil || got != h {
		t.Errorf("%+v %v, want %+v", got, err, h)
	}
	h.named = 700
	if got, err := decodeHead("s", h.encode(nil, "s")); err != nil || got != h {
		t.Errorf("%+v %v, want %+v", got, err, h)
	}
}
