package es_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// Commands that queue up are decided one after another, each on what the ones before it did, and appended together.
func TestBatch(t *testing.T) {
	f := begin(t)
	got := f.behind("a",
		f.queue(Add{K: "a", Tag: "one", N: 1}, es.Call{ID: id(1), IfMatch: es.At(0)}),
		f.queue(Add{K: "a", Tag: "one", N: 1}, es.Call{ID: id(1)}),                               // its repeat
		f.queue(Add{K: "a", Tag: "two", N: 2}, es.Call{ID: id(2), IfMatch: es.At(0)}),            // stale: behind one
		f.queue(Add{K: "a", Tag: "three", N: 3, Limit: 4}, es.Call{ID: id(3)}),                   // 2 + 3 is too much
		f.queue(Add{K: "a", Tag: "four", N: 4, Times: 2}, es.Call{ID: id(4), IfMatch: es.At(1)}), // one's
		f.queue(Add{K: "a"}, es.Call{ID: id(5)}),                                                 // nothing to do
		f.queue(Add{K: "a", Tag: "one", N: 1}, es.Call{ID: id(1), Digest: []byte("other")}),      // key reused
	)
	if f.store.Appends() != 2 {
		t.Errorf("%d appends, want one for the first and one for all others", f.store.Appends())
	}
	if d := cmp.Diff(map[string]int{"first": 1, "one": 1, "four": 2}, f.tags("a")); d != "" {
		t.Errorf("the stream (-want +got):\n%s", d)
	}
	end := f.store.All(0)[3].Position
	one, again, stale, rejected, four, nothing, reused := got[0], got[1], got[2], got[3], got[4], got[5], got[6]
	if one.err != nil || one.receipt.Replayed || one.receipt.Revision != 1 || len(one.receipt.Records) != 1 {
		t.Errorf("one: %+v", one)
	}
	if again.err != nil || !again.receipt.Replayed || again.receipt.Revision != 1 || !cmp.Equal(again.receipt.Events, one.receipt.Events) {
		t.Errorf("its repeat: %+v", again)
	}
	if !errors.Is(stale.err, es.ErrPrecondition) || es.Rejected(rejected.err) != limit || !errors.Is(reused.err, es.ErrKeyReused) {
		t.Errorf("stale: %v; rejected: %v; reused: %v", stale.err, rejected.err, reused.err)
	}
	if four.err != nil || four.receipt.Revision != 3 || len(four.receipt.Events) != 2 {
		t.Errorf("four: %+v", four)
	}
	if nothing.err != nil || len(nothing.receipt.Events) != 0 || nothing.receipt.Revision != 3 {
		t.Errorf("nothing: %+v", nothing)
	}
	for name, r := range map[string]reply{"one": one, "its repeat": again, "four": four, "nothing": nothing} {
		if r.receipt.Position < f.store.All(0)[r.receipt.Revision].Position || r.receipt.Position > end {
			t.Errorf("%s was answered with position %d", name, r.receipt.Position)
		}
	}
	// The cached state knows where the batch is, too.
	if r := f.must(Add{K: "a", Tag: "one", N: 1}, es.Call{ID: id(1)}); !r.Replayed || r.Position == 0 {
		t.Errorf("a repeat after the batch: %+v", r)
	}
	if r := f.must(Add{K: "a"}, es.Call{}); r.Position != end {
		t.Errorf("nothing to do after the batch: position %d, want %d", r.Position, end)
	}
}

// The last command of a batch appends nothing: all events were folded before their append.
func TestBatchEndsInRejection(t *testing.T) {
	f := begin(t)
	got := f.behind("a",
		f.queue(Add{K: "a", Tag: "one", N: 1}, es.Call{ID: id(1)}),
		f.queue(Add{K: "a", Tag: "two", N: 1, Limit: 1}, es.Call{ID: id(2)}),
	)
	if got[0].err != nil || es.Rejected(got[1].err) != limit {
		t.Fatalf("%+v", got)
	}
	if r := f.must(Add{K: "a"}, es.Call{}); r.Position != 4 {
		t.Errorf("position %d, want 4", r.Position)
	}
	if r := f.must(Add{K: "a", Tag: "one", N: 1}, es.Call{ID: id(1)}); r.Position != 4 {
		t.Errorf("position of the repeat %d, want 4", r.Position)
	}
}

// A command without an id is as good as any other, and two of them are two.
func TestBatchWithoutIDs(t *testing.T) {
	f := begin(t)
	add := f.queue(Add{K: "a", Tag: "same", N: 1}, es.Call{})
	for i, r := range f.behind("a", add, add, add) {
		if r.err != nil || r.receipt.Replayed {
			t.Errorf("%d: %+v", i, r)
		}
	}
	seen := map[es.UUID]bool{}
	for _, e := range f.events("a") {
		if seen[e.ID] || e.Meta.Command.ID.IsZero() {
			t.Errorf("event %v of command %v", e.ID, e.Meta.Command.ID)
		}
		seen[e.ID] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d events", len(seen))
	}
}

func TestBatchBounds(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		f := begin(t)
		var commands []func() <-chan reply
		for i := range 10 {
			commands = append(commands, f.queue(Add{K: "a", Tag: tag(i), N: 1, Text: strings.Repeat("x", 200<<10)}, es.Call{ID: id(i)}))
		}
		var sizes []int
		f.measure(&sizes)
		for i, r := range f.behind("a", commands...) {
			if r.err != nil || r.receipt.Revision != uint64(i+1) {
				t.Errorf("%d: revision %d, %v", i, r.receipt.Revision, r.err)
			}
		}
		if f.store.Appends() != 6 { // two at a time
			t.Errorf("%d appends", f.store.Appends())
		}
	})
	t.Run("one command past them", func(t *testing.T) {
		f := begin(t)
		got := f.behind("a",
			f.queue(Add{K: "a", Tag: "small", N: 1}, es.Call{ID: id(1)}),
			f.queue(Add{K: "a", Tag: "large", N: 1, Times: 4, Text: strings.Repeat("x", 200<<10)}, es.Call{ID: id(2)}), // allowed alone
			f.queue(Add{K: "a", Tag: "huge", N: 1, Times: 6, Text: strings.Repeat("x", 200<<10)}, es.Call{ID: id(3)}),  // more than the store takes
			f.queue(Add{K: "a", Tag: "after", N: 1}, es.Call{ID: id(4)}),
		)
		if got[0].err != nil || got[1].err != nil || !errors.Is(got[2].err, es.ErrTooLarge) || got[3].err != nil {
			t.Errorf("%v, %v, %v, %v", got[0].err, got[1].err, got[2].err, got[3].err)
		}
		if d := cmp.Diff(map[string]int{"first": 1, "small": 1, "large": 4, "after": 1}, f.tags("a")); d != "" {
			t.Error(d)
		}
	})
	t.Run("commands", func(t *testing.T) {
		f := begin(t)
		var commands []func() <-chan reply
		for i := range es.MaxBatchCommands + 10 {
			commands = append(commands, f.queue(Add{K: "a", Tag: tag(i), N: 1}, es.Call{ID: id(i)}))
		}
		for i, r := range f.behind("a", commands...) {
			if r.err != nil {
				t.Fatalf("%d: %v", i, r.err)
			}
		}
		if f.store.Appends() != 3 {
			t.Errorf("%d appends", f.store.Appends())
		}
	})
}

// measure notes the size of each append.
func (f *fixture) measure(sizes *[]int) {
	f.store.Fail(memory.Faults{BeforeAppend: func(_ context.Context, _ es.StreamID, _ es.Expected, events []es.Proposed) error {
		n := 0
		for _, e := range events {
			n += e.Size()
		}
		*sizes = append(*sizes, n)
		return nil
	}})
}

// One command that the store refuses does not take the others with it.
func TestOneBadCommandInABatch(t *testing.T) {
	f := begin(t)
	refused := errors.New("the store does not like it")
	entered, release := make(chan struct{}), make(chan struct{})
	n := 0
	f.store.Fail(memory.Faults{BeforeAppend: func(_ context.Context, _ es.StreamID, _ es.Expected, events []es.Proposed) error {
		if n++; n == 1 {
			close(entered)
			<-release
		}
		for _, e := range events {
			if strings.Contains(string(e.Data), "bad") {
				return refused
			}
		}
		return nil
	}})
	first := f.send(t.Context(), Add{K: "a", Tag: "first", N: 1}, es.Call{ID: id("first")})
	<-entered
	var replies []<-chan reply
	for i := range 8 {
		d := Add{K: "a", Tag: tag(i), N: 1}
		if i == 3 {
			d.Text = "bad"
		}
		replies = append(replies, f.send(t.Context(), d, es.Call{ID: id(i)}))
	}
	for es.Queued[Tally](f.h, es.StreamID{Category: "tally", Key: "a"}) < 8 {
		pauseABit()
	}
	close(release)
	if r := <-first; r.err != nil {
		t.Fatal(r.err)
	}
	want := map[string]int{"first": 1}
	for i, c := range replies {
		r := <-c
		if i == 3 {
			if !errors.Is(r.err, refused) || errors.Is(r.err, es.ErrUnknownOutcome) {
				t.Errorf("the bad one: %v", r.err)
			}
			continue
		}
		want[tag(i)] = 1
		if r.err != nil || len(r.receipt.Events) != 1 || r.receipt.Position == 0 {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if d := cmp.Diff(want, f.tags("a")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// An event that cannot be folded is refused when others must be decided after it; those are done.
func TestPoisonInABatch(t *testing.T) {
	f := begin(t)
	var commands []func() <-chan reply
	for i := range 60 {
		if i%2 == 1 {
			commands = append(commands, f.queue(Decide{K: "a", F: facts(Added{Tag: "half", N: 1}, Poison{})}, es.Call{ID: id(i)}))
		} else {
			commands = append(commands, f.queue(Add{K: "a", Tag: tag(i), N: 1}, es.Call{ID: id(i)}))
		}
	}
	commands = append(commands, f.queue(Add{K: "a", Tag: "last", N: 1}, es.Call{ID: id("last")}))
	want := map[string]int{"first": 1, "last": 1}
	for i, r := range f.behind("a", commands...) {
		if bad := i%2 == 1; bad {
			if r.err == nil || !strings.Contains(r.err.Error(), "tally.poison") {
				t.Errorf("poison %d: %+v", i, r)
			}
			continue
		} else if i < 60 {
			want[tag(i)] = 1
		}
		if r.err != nil {
			t.Errorf("%d: %v", i, r.err)
		}
	}
	if d := cmp.Diff(want, f.tags("a")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A stream that cannot be folded says so, and harms no other.
func TestPoisonedStream(t *testing.T) {
	f := begin(t)
	data := []byte("{}")
	if _, err := f.store.Append(t.Context(), es.StreamID{Category: "tally", Key: "a"}, es.NoStream,
		[]es.Proposed{{ID: id(1), Type: "tally.poison", Data: data, Meta: []byte(`{"schema":1}`)}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.do(Add{K: "a", Tag: "x", N: 1}, es.Call{}); err == nil || !strings.Contains(err.Error(), "tally-a@0") {
			t.Errorf("%v", err)
		}
	}
	f.must(Add{K: "b", Tag: "x", N: 1}, es.Call{})
}

func TestManyStreamsAtOnce(t *testing.T) {
	f := begin(t)
	f.h.Hold(4 << 10) // a few lanes
	var replies []<-chan reply
	for i := range 400 {
		replies = append(replies, f.send(t.Context(), Add{K: strconv.Itoa(i % 40), Tag: tag(i), N: 1, Text: strings.Repeat("x", 100)}, es.Call{ID: id(i)}))
	}
	for i, c := range replies {
		if r := <-c; r.err != nil {
			t.Errorf("%d: %v", i, r.err)
		}
	}
	total := 0
	for k := range 40 {
		for tag, n := range f.tags(strconv.Itoa(k)) {
			if total += n; n != 1 {
				t.Errorf("%s is recorded %d times", tag, n)
			}
		}
	}
	if total != 400 {
		t.Errorf("%d events", total)
	}
	f.must(Add{K: "0", N: 1}, es.Call{})
	if n, err := waitIdle(f.h); err != nil || n > 10 {
		t.Errorf("%d lanes stay in 4 KiB, %v", n, err)
	}
}
