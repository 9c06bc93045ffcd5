package es_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// Two processes, one stream: the limit is not passed, nothing is lost, and each answer is true.
func TestTwoHandlersOnAHotStream(t *testing.T) {
	f := begin(t)
	const each, most = 300, 400
	handlers := []*es.Handler{f.h, f.handler()}
	var replies []<-chan reply
	var ids []es.UUID
	for i := range each {
		for h, handler := range handlers {
			f.h = handler
			ids = append(ids, id(h, i))
			replies = append(replies, f.send(t.Context(), Add{K: "hot", Tag: ids[len(ids)-1].String(), N: 1, Limit: most}, es.Call{ID: ids[len(ids)-1]}))
		}
	}
	f.h = handlers[0]
	done := 0
	written := map[string]int{}
	revisions := map[uint64]bool{}
	for i, c := range replies {
		r := <-c
		switch {
		case r.err == nil:
			done++
			written[ids[i].String()] = 1
			if revisions[r.receipt.Revision] {
				t.Errorf("revision %d was given twice", r.receipt.Revision)
			}
			revisions[r.receipt.Revision] = true
		case es.Rejected(r.err) != limit:
			t.Errorf("%v", r.err)
		}
	}
	if done != most {
		t.Errorf("%d were accepted, want %d", done, most)
	}
	if d := cmp.Diff(written, f.tags("hot")); d != "" {
		t.Errorf("(-acknowledged +recorded):\n%.2000s", d)
	}
	t.Logf("%d commands of two handlers in %d appends", 2*each, f.store.Appends())
}

// One command sent to two processes at once takes effect once, at whatever prices.
func TestOneCommandInTwoHandlers(t *testing.T) {
	for round := range 50 {
		f := begin(t)
		f.must(Add{K: "a", Tag: "first", N: 1}, es.Call{})
		other := f.handler()
		var replies []<-chan reply
		for i, h := range []*es.Handler{f.h, other, f.h, other} {
			mine := f.h
			f.h = h
			replies = append(replies, f.send(t.Context(), Add{K: "a", Tag: "x", N: 1 + i, Times: 2}, es.Call{ID: id("x")}))
			f.h = mine
		}
		var events []es.UUID
		for _, c := range replies {
			r := <-c
			if r.err != nil {
				t.Fatal(r.err)
			}
			if events == nil {
				events = r.receipt.Events
			}
			if !cmp.Equal(events, r.receipt.Events) {
				t.Errorf("round %d: answers name %v and %v", round, events, r.receipt.Events)
			}
		}
		got := f.events("a")
		if len(got) != 3 || got[1].ID != events[0] || got[2].ID != events[1] || got[1].Event.(Added).N != got[2].Event.(Added).N {
			t.Fatalf("round %d: %v", round, got)
		}
	}
}

// A stream that changes each time gives up in the end, and says so.
func TestEndlessConflict(t *testing.T) {
	f := begin(t)
	n := 0
	f.store.Fail(memory.Faults{BeforeAppend: func(context.Context, es.StreamID, es.Expected, []es.Proposed) error {
		n++
		return es.ErrWrongRevision
	}})
	f.fails(es.ErrConflict, Add{K: "a", Tag: "x", N: 1}, es.Call{ID: id(1)})
	if n < 5 || n > 50 {
		t.Errorf("%d tries", n)
	}
	f.store.Fail(memory.Faults{})
	f.must(Add{K: "a", Tag: "x", N: 1}, es.Call{ID: id(1)})
}

// A stream that lost events is read again: its store was restored.
func TestRestoredStore(t *testing.T) {
	f := begin(t)
	for i := range 5 {
		f.must(Add{K: "a", Tag: tag(i), N: 1}, es.Call{ID: id(i)})
	}
	f.store.Replace("restored")
	f.must(Add{K: "a", Tag: "x", N: 1}, es.Call{ID: id("x")})
	if d := cmp.Diff(map[string]int{"x": 1}, f.tags("a")); d != "" {
		t.Error(d)
	}
}

func TestStoreThatCannotBeReached(t *testing.T) {
	f := begin(t)
	f.must(Add{K: "a", Tag: "first", N: 1}, es.Call{})
	asked := 0
	f.store.Fail(memory.Faults{BeforeAppend: func(context.Context, es.StreamID, es.Expected, []es.Proposed) error {
		asked++
		return es.ErrUnavailable
	}})
	f.fails(es.ErrUnavailable, Add{K: "a", Tag: "x", N: 1}, es.Call{ID: id(1)})
	if _, err := f.do(Add{K: "a", Tag: "x", N: 1}, es.Call{ID: id(1)}); errors.Is(err, es.ErrUnknownOutcome) {
		t.Errorf("%v: nothing can have been written", err)
	}
	if asked != 2 {
		t.Errorf("the store was asked %d times by two commands", asked)
	}
	unreadable := errors.New("not now")
	f.store.Fail(memory.Faults{BeforeRead: func(context.Context, es.StreamID, uint64) error { return unreadable }})
	f.fails(unreadable, Add{K: "b", Tag: "x", N: 1}, es.Call{})
	f.store.Fail(memory.Faults{})
	f.must(Add{K: "b", Tag: "x", N: 1}, es.Call{})
	f.must(Add{K: "a", Tag: "x", N: 1}, es.Call{ID: id(1)})
}

// Whose context has ended is answered at once; others queued with it are not harmed, and what is no longer waited for
// and has not begun is not done.
func TestCallersLeave(t *testing.T) {
	f := begin(t)
	entered, release := make(chan struct{}), make(chan struct{})
	first := true
	f.store.Fail(memory.Faults{BeforeAppend: func(ctx context.Context, _ es.StreamID, _ es.Expected, _ []es.Proposed) error {
		if first {
			first = false
			close(entered)
			<-release
		}
		return nil
	}})
	leaving, leave := context.WithCancel(t.Context())
	leader := f.send(leaving, Add{K: "a", Tag: "leader", N: 1}, es.Call{ID: id("leader")})
	<-entered
	gone := f.send(leaving, Add{K: "a", Tag: "gone", N: 1}, es.Call{ID: id("gone")})
	stays := f.send(t.Context(), Add{K: "a", Tag: "stays", N: 1}, es.Call{ID: id("stays")})
	for es.Queued[Tally](f.h, es.StreamID{Category: "tally", Key: "a"}) < 2 {
		pauseABit()
	}
	leave()
	for name, c := range map[string]<-chan reply{"leader": leader, "gone": gone} {
		if r := <-c; !errors.Is(r.err, context.Canceled) || !errors.Is(r.err, es.ErrUnknownOutcome) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	close(release)
	if r := <-stays; r.err != nil {
		t.Errorf("who stayed: %v", r.err)
	}
	if d := cmp.Diff(map[string]int{"leader": 1, "stays": 1}, f.tags("a")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	f.store.Fail(memory.Faults{BeforeRead: func(context.Context, es.StreamID, uint64) error {
		t.Error("the store was asked for somebody who had left")
		return nil
	}})
	es.Abandon[Tally](f.h, Add{K: "a", Tag: "gone", N: 1})
	f.store.Fail(memory.Faults{})
	if r := f.must(Add{K: "a", Tag: "leader", N: 1}, es.Call{ID: id("leader")}); !r.Replayed {
		t.Error("the leader's command was done twice")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if r := <-f.send(ended, Add{K: "a", Tag: "late", N: 1}, es.Call{}); !errors.Is(r.err, context.Canceled) || errors.Is(r.err, es.ErrUnknownOutcome) {
		t.Errorf("a caller that had left before: %v", r.err)
	}
}

func TestDeadlineOfCaller(t *testing.T) {
	f := begin(t)
	release := make(chan struct{})
	f.store.Fail(memory.Faults{BeforeAppend: func(context.Context, es.StreamID, es.Expected, []es.Proposed) error { <-release; return nil }})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	begun := time.Now()
	r := <-f.send(ctx, Add{K: "a", Tag: "x", N: 1}, es.Call{ID: id(1)})
	if !errors.Is(r.err, es.ErrUnknownOutcome) || !errors.Is(r.err, context.DeadlineExceeded) || time.Since(begun) > 20*time.Second {
		t.Errorf("%v after %v", r.err, time.Since(begun))
	}
	close(release)
	if r := f.must(Add{K: "a", Tag: "x", N: 1}, es.Call{ID: id(1)}); !r.Replayed {
		t.Errorf("%+v: the first one was appended after its caller had left", r)
	}
}
