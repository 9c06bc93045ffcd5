package es_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// sent notes what goes to the store.
type sent struct {
	at     es.Expected
	events []es.Proposed
}

// unknown makes the first n appends end without a known outcome: written or not, as written says.
func (f *fixture) unknown(n int, written bool, meanwhile func()) *[]sent {
	var mu sync.Mutex
	var log []sent
	fault := func(_ context.Context, _ es.StreamID, at es.Expected, events []es.Proposed) error {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, sent{at, events})
		if len(log) > n {
			return nil
		}
		if meanwhile != nil {
			meanwhile()
		}
		return es.ErrUnknownOutcome
	}
	if written {
		f.store.Fail(memory.Faults{AfterAppend: fault})
	} else {
		f.store.Fail(memory.Faults{BeforeAppend: fault})
	}
	return &log
}

// other appends as another process would, past this one's faults.
func (f *fixture) other(key, tag string) {
	f.Helper()
	have := 0
	for range f.store.Read(f.Context(), es.StreamID{Category: "tally", Key: key}, 0) {
		have++
	}
	h := es.NewHandler(pass{f.store}, catalog(f), f.time)
	if _, err := es.Handle(f.Context(), h, Add{K: key, Tag: tag, N: 1}, es.Call{ID: id("other", tag)}); err != nil {
		f.Errorf("the other process: %v", err)
	}
}

// pass is a store without its faults.
type pass struct{ *memory.Store }

func (p pass) Append(ctx context.Context, s es.StreamID, at es.Expected, events []es.Proposed) (uint64, error) {
	return p.Direct(s, at, events)
}

func TestUnknownOutcome(t *testing.T) {
	for _, c := range []struct {
		name    string
		written bool
		other   bool // another process appends before the outcome is looked up
		times   int
	}{
		{name: "it is recorded", written: true, times: 1},
		{name: "it does not", times: 1},
		{name: "it is recorded, and the stream went on", written: true, other: true, times: 1},
		{name: "it does not, and the stream went on", other: true, times: 1},
		{name: "it is recorded, and so it is said five times", written: true, times: 5},
		{name: "it does not, five times", times: 5},
	} {
		for _, call := range []es.Call{{ID: id("x"), Digest: []byte("d")}, {}} {
			t.Run(c.name, func(t *testing.T) {
				f := begin(t)
				f.must(Add{K: "a", Tag: "first", N: 1}, es.Call{})
				once := sync.OnceFunc(func() { f.other("a", "other") })
				meanwhile := func() { f.pass(time.Millisecond) } // decided again it would have another id
				if c.other {
					meanwhile = func() { f.pass(time.Millisecond); once() }
				}
				log := f.unknown(c.times, c.written, meanwhile)
				r := f.must(Add{K: "a", Tag: "x", N: 1, Times: 2}, call)
				if r.Replayed || len(r.Events) != 2 || len(r.Records) != 2 {
					t.Errorf("receipt %+v", r)
				}
				want := map[string]int{"first": 1, "x": 2}
				if c.other {
					want["other"] = 1
				}
				if d := cmp.Diff(want, f.tags("a")); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
				got := f.events("a")[r.Revision]
				if got.ID != r.Events[1] || got.Position > r.Position || r.Records[1].Revision != r.Revision || r.Records[1].Position != r.Position {
					t.Errorf("receipt %+v, at its revision written %v at %d", r, got.ID, got.Position)
				}
				if !c.other {
					for _, s := range *log {
						if d := cmp.Diff((*log)[0], s, cmp.AllowUnexported(sent{})); d != "" {
							t.Errorf("other bytes were sent again:\n%s", d)
						}
					}
				}
				f.store.Fail(memory.Faults{})
				if n := f.must(Add{K: "a"}, es.Call{}); n.Revision != uint64(len(f.events("a"))-1) {
					t.Errorf("the state is at %d, the stream at %d", n.Revision, len(f.events("a"))-1)
				}
			})
		}
	}
}

// A copy that was given up arrives late: after the stream was found unchanged, before the same bytes go out again.
func TestUnknownOutcomeArrivesLate(t *testing.T) {
	f := begin(t)
	f.must(Add{K: "a", Tag: "first", N: 1}, es.Call{})
	var late sent
	n := 0
	f.store.Fail(memory.Faults{BeforeAppend: func(_ context.Context, s es.StreamID, at es.Expected, events []es.Proposed) error {
		switch n++; n {
		case 1:
			late = sent{at, events}
			f.pass(time.Millisecond)
			return es.ErrUnknownOutcome
		case 2:
			if _, err := f.store.Direct(s, late.at, late.events); err != nil {
				t.Error(err)
			}
			f.other("a", "other")
		}
		return nil
	}})
	r := f.must(Add{K: "a", Tag: "x", N: 1}, es.Call{ID: id("x")})
	if r.Replayed || r.Revision != 1 {
		t.Errorf("receipt %+v", r)
	}
	if d := cmp.Diff(map[string]int{"first": 1, "x": 1, "other": 1}, f.tags("a")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Never success on a guess, nor failure.
func TestUnknownOutcomeStays(t *testing.T) {
	f := begin(t)
	f.must(Add{K: "a", Tag: "first", N: 1}, es.Call{})
	unreadable := errors.New("not now")
	f.store.Fail(memory.Faults{
		AfterAppend: func(context.Context, es.StreamID, es.Expected, []es.Proposed) error { return context.DeadlineExceeded },
		BeforeRead:  func(context.Context, es.StreamID, uint64) error { return unreadable },
	})
	f.fails(es.ErrUnknownOutcome, Add{K: "a", Tag: "x", N: 1}, es.Call{ID: id("x")})
	f.store.Fail(memory.Faults{})
	if r := f.must(Add{K: "a", Tag: "x", N: 1}, es.Call{ID: id("x")}); !r.Replayed { // "repeat with the same key"
		t.Errorf("receipt %+v", r)
	}

	// A copy may be written; then a second one is refused outright. That says nothing of the first.
	refused := errors.New("refused")
	n := 0
	f.store.Fail(memory.Faults{BeforeAppend: func(context.Context, es.StreamID, es.Expected, []es.Proposed) error {
		if n++; n == 1 {
			return context.DeadlineExceeded
		}
		return refused
	}})
	f.fails(es.ErrUnknownOutcome, Add{K: "a", Tag: "y", N: 1}, es.Call{ID: id("y")})

	// Nor does a reading that fails after a conflict that followed.
	n = 0
	f.store.Fail(memory.Faults{
		BeforeAppend: func(context.Context, es.StreamID, es.Expected, []es.Proposed) error {
			switch n++; n {
			case 1:
				return es.ErrUnknownOutcome
			case 2:
				return es.ErrWrongRevision
			}
			return nil
		},
		BeforeRead: func(context.Context, es.StreamID, uint64) error {
			if n >= 2 {
				return unreadable
			}
			return nil
		},
	})
	f.fails(es.ErrUnknownOutcome, Add{K: "a", Tag: "z", N: 1}, es.Call{ID: id("z")})

	// But once the stream is seen to have gone on without it, what was sent can never stand.
	n = 0
	f.store.Fail(memory.Faults{BeforeAppend: func(context.Context, es.StreamID, es.Expected, []es.Proposed) error {
		if n++; n == 1 {
			f.other("a", "other")
			return es.ErrUnknownOutcome
		}
		return refused
	}})
	if _, err := f.do(Add{K: "a", Tag: "v", N: 1}, es.Call{ID: id("v")}); !errors.Is(err, refused) || errors.Is(err, es.ErrUnknownOutcome) {
		t.Errorf("refused after the stream went on: %v", err)
	}
	f.store.Fail(memory.Faults{})
	if d := cmp.Diff(map[string]int{"first": 1, "x": 1, "other": 1}, f.tags("a")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// In a batch, each command of an append of unknown outcome gets its own answer.
func TestUnknownOutcomeOfABatch(t *testing.T) {
	for _, written := range []bool{true, false} {
		f := begin(t)
		entered, release := make(chan struct{}), make(chan struct{})
		n := 0
		fault := func(context.Context, es.StreamID, es.Expected, []es.Proposed) error {
			n++
			switch {
			case n == 1:
				close(entered)
				<-release
			case n == 2 && !written:
				f.other("a", "other")
				return es.ErrUnknownOutcome
			case n == 2:
				return es.ErrUnknownOutcome
			}
			return nil
		}
		if written {
			f.store.Fail(memory.Faults{AfterAppend: fault})
		} else {
			f.store.Fail(memory.Faults{BeforeAppend: fault})
		}
		first := f.send(t.Context(), Add{K: "a", Tag: "first", N: 1}, es.Call{ID: id("first")})
		<-entered
		var replies []<-chan reply
		for i, d := range []Add{{K: "a", Tag: "one", N: 1}, {K: "a", Tag: "no", N: 1, Limit: 1}, {K: "a", Tag: "two", N: 1, Times: 2}} {
			replies = append(replies, f.send(t.Context(), d, es.Call{ID: id(i)}))
			for es.Queued[Tally](f.h, es.StreamID{Category: "tally", Key: "a"}) < i+1 {
				pauseABit()
			}
		}
		close(release)
		<-first
		one, no, two := <-replies[0], <-replies[1], <-replies[2]
		if one.err != nil || one.receipt.Replayed || len(one.receipt.Records) != 1 || es.Rejected(no.err) != limit ||
			two.err != nil || two.receipt.Replayed || len(two.receipt.Records) != 2 {
			t.Errorf("written %v: %+v, %+v, %+v", written, one, no, two)
		}
		want := map[string]int{"first": 1, "one": 1, "two": 2}
		if !written {
			want["other"] = 1
		}
		if d := cmp.Diff(want, f.tags("a")); d != "" {
			t.Errorf("written %v (-want +got):\n%s", written, d)
		}
	}
}
