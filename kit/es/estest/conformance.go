package estest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
)

// Subject is a store under test, with what it declares to be capable of.
type Subject struct {
	Store     es.Store
	Log       es.Log // nil: the store cannot be read across streams
	MaxAppend int    // bytes: a larger append is refused with ErrTooLarge. 0: no bound that is known
	System    bool   // takes appends of streams and types that begin with '$'
	Shared    bool   // others append while it is tested: a server that is not the test's own
}

// TestStore proves that a store keeps the contracts of es.Store and es.Log. open is called once per case; it may give the
// same store each time.
func TestStore(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	for _, c := range append(storeCases(), logCases()...) {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			if c.log && s.Log == nil {
				t.Skipf("%s: not a log", c.name)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c.run(&subject{T: t, ctx: ctx, Subject: s, run: newRun()})
		})
	}
}

type conformanceCase struct {
	name string
	log  bool
	run  func(*subject)
}

// subject is one case's view of the store: its streams share a key that no other run has.
type subject struct {
	*testing.T
	Subject

	ctx    context.Context
	run    string
	events atomic.Uint64
}

func newRun() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// stream names a stream of this run.
func (s *subject) stream(name string) es.StreamID {
	return es.StreamID{Category: "conformance", Key: s.run + name}
}

// mine tells whether a record is of this run.
func (s *subject) mine(r es.Record) bool { return strings.Contains(r.Stream.Key, s.run) }

// propose makes events that no other call makes.
func (s *subject) propose(n int) []es.Proposed {
	events := make([]es.Proposed, n)
	for i := range events {
		k := s.events.Add(1)
		events[i] = es.Proposed{
			ID: es.DerivedID(es.UUID{}, s.run, k), Type: "conformance.happened",
			Data: fmt.Appendf(nil, `{"n":%d}`, k), Meta: fmt.Appendf(nil, `{"schema":1,"k":"é %d"}`, k),
		}
	}
	return events
}

// weighing is an event of about that many bytes of data.
func (s *subject) weighing(size int) es.Proposed {
	e := s.propose(1)[0]
	e.Data, _ = json.Marshal(map[string]string{"text": string(bytes.Repeat([]byte("0123456789abcdeé"), size/17))})
	return e
}

func (s *subject) append(id es.StreamID, at es.Expected, events ...es.Proposed) uint64 {
	s.Helper()
	p, err := s.Store.Append(s.ctx, id, at, events)
	if err != nil {
		s.Fatalf("append to %s at %d: %v", id, at, err)
	}
	if p == 0 {
		s.Fatalf("append to %s at %d gave position 0", id, at)
	}
	return p
}

func (s *subject) read(id es.StreamID, from uint64) []es.Record {
	s.Helper()
	var got []es.Record
	for r, err := range s.Store.Read(s.ctx, id, from) {
		if err != nil {
			s.Fatalf("read %s from %d: %v", id, from, err)
		}
		got = append(got, r)
	}
	return got
}

func (s *subject) end() uint64 {
	s.Helper()
	end, err := s.Log.End(s.ctx)
	if err != nil {
		s.Fatalf("end of the log: %v", err)
	}
	return end
}

// readAll gives this run's events after a position, and checks the order of everybody's.
func (s *subject) readAll(after uint64) []es.Record {
	s.Helper()
	var got []es.Record
	last := after
	for r, err := range s.Log.ReadAll(s.ctx, after) {
		if err != nil {
			s.Fatalf("read all after %d: %v", after, err)
		}
		if r.Position <= last {
			s.Fatalf("position %d comes after %d", r.Position, last)
		}
		if !r.Recorded() {
			s.Errorf("%s %s at %d is not for readers of the log", r.Stream, r.Type, r.Position)
		}
		if last = r.Position; s.mine(r) {
			got = append(got, r)
		}
	}
	return got
}

// holds checks that a stream has exactly the events, as they were proposed.
func (s *subject) holds(id es.StreamID, want []es.Proposed) {
	s.Helper()
	s.same(id, 0, s.read(id, 0), want)
}

func (s *subject) same(id es.StreamID, from uint64, got []es.Record, want []es.Proposed) {
	s.Helper()
	have := make([]es.Proposed, len(got))
	var position uint64
	for i, r := range got {
		have[i] = es.Proposed{ID: r.ID, Type: r.Type, Data: r.Data, Meta: r.Meta}
		if r.Stream != id {
			s.Errorf("record of %v was read from %v", r.Stream, id)
		}
		if r.Revision != from+uint64(i) {
			s.Errorf("%s: revision %d where %d should stand", id, r.Revision, from+uint64(i))
		}
		if r.Position <= position {
			s.Errorf("%s@%d at position %d, the one before it at %d", id, r.Revision, r.Position, position)
		}
		position = r.Position
		if age := time.Since(r.Created); age > 10*time.Minute || age < -10*time.Minute {
			s.Errorf("%s@%d was created at %v", id, r.Revision, r.Created)
		}
	}
	if !slices.EqualFunc(want, have, equal) { // Diff is slow on large events
		s.Errorf("%s is not as it was appended (-want +got):\n%.4000s", id, cmp.Diff(want, have))
	}
}

func equal(a, b es.Proposed) bool {
	return a.ID == b.ID && a.Type == b.Type && bytes.Equal(a.Data, b.Data) && bytes.Equal(a.Meta, b.Meta)
}

func ids(records []es.Record) []es.UUID {
	out := make([]es.UUID, len(records))
	for i, r := range records {
		out[i] = r.ID
	}
	return out
}

func idsOf(events []es.Proposed) []es.UUID {
	out := make([]es.UUID, len(events))
	for i, e := range events {
		out[i] = e.ID
	}
	return out
}
