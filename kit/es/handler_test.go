package es_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
)

func TestCommandIsRecordedOnce(t *testing.T) {
	f := begin(t)
	call := es.Call{ID: id(1), Digest: []byte("digest"), Actor: es.Actor{ID: "u", Kind: "user"}, Causation: "cause", Traceparent: "tp",
		Effect: es.EffectRef{ID: id("effect"), Instance: "placement-O"}}
	r := f.must(Add{K: "a", Tag: "x", N: 2, Times: 3}, call)
	if r.Replayed || r.Revision != 2 || len(r.Events) != 3 || len(r.Records) != 3 || r.Position != 6 {
		t.Errorf("receipt %+v", r)
	}
	for range 3 {
		again := f.must(Add{K: "a", Tag: "another body", N: 5}, call)
		if !again.Replayed || again.Revision != 2 || again.Position != 6 || !cmp.Equal(again.Events, r.Events) || again.Records != nil {
			t.Errorf("receipt of the repeat %+v", again)
		}
	}
	got := f.events("a")
	if len(got) != 3 {
		t.Fatalf("%d events stand", len(got))
	}
	want := es.Meta{Schema: 1, Correlation: "tally-a", Causation: "cause", Command: es.CommandRef{ID: id(1), Name: "tally.add", Digest: []byte("digest")},
		Effect: call.Effect, Actor: call.Actor, OccurredAt: start, Traceparent: "tp"}
	for i, e := range got {
		if d := cmp.Diff(want, e.Meta); d != "" {
			t.Errorf("metadata of %d:\n%s", i, d)
		}
		if e.ID != r.Events[i] || e.ID != r.Records[i].ID {
			t.Errorf("event %d is %v, the receipt says %v", i, e.ID, r.Events[i])
		}
	}
	raw := f.store.All(0)
	for i, rec := range r.Records { // what the receipt gives is what a reader gets, but for position and clock
		if rec.Position < raw[i].Position {
			t.Errorf("record %d at %d is stored at %d", i, rec.Position, raw[i].Position)
		}
		rec.Position, rec.Created = raw[i].Position, raw[i].Created
		if d := cmp.Diff(raw[i], rec); d != "" {
			t.Errorf("record %d (-stored +receipt):\n%s", i, d)
		}
	}
	if !strings.HasPrefix(string(raw[0].Meta), `{"schema":1,`) {
		t.Errorf("schema does not stand first: %s", raw[0].Meta)
	}
}

// A handler that has seen nothing answers a repeat as the one that decided it.
func TestRepeatInAnotherProcess(t *testing.T) {
	f := begin(t)
	r := f.must(Add{K: "a", Tag: "x", N: 2, Times: 2}, es.Call{ID: id(1)})
	f.must(Add{K: "a", Tag: "y", N: 2}, es.Call{ID: id(2)})
	f.h = f.handler()
	again := f.must(Add{K: "a", Tag: "x", N: 2}, es.Call{ID: id(1)})
	if !again.Replayed || again.Position != r.Position || again.Revision != r.Revision || !cmp.Equal(again.Events, r.Events) {
		t.Errorf("first %+v, again %+v", r, again)
	}
	if len(f.events("a")) != 3 {
		t.Errorf("%d events stand", len(f.events("a")))
	}
}

func TestKeyReuse(t *testing.T) {
	f := begin(t)
	call := es.Call{ID: id(1), Digest: []byte("one")}
	f.must(Add{K: "a", Tag: "x", N: 2}, call)
	call.Digest = []byte("two")
	f.fails(es.ErrKeyReused, Add{K: "a", Tag: "x", N: 2}, call)
	stale := uint64(77)
	call.IfMatch = es.At(stale)
	f.fails(es.ErrKeyReused, Add{K: "a", Tag: "x", N: 2}, call) // before If-Match
	call.Digest = []byte("one")
	if r := f.must(Add{K: "a", Tag: "x", N: 2}, call); !r.Replayed { // which a repeat does not meet either
		t.Errorf("receipt %+v", r)
	}
	if r := f.must(Add{K: "b", Tag: "x", N: 2}, es.Call{ID: id(1), Digest: []byte("two")}); r.Replayed { // once per id and stream
		t.Errorf("receipt %+v", r)
	}
	same := es.Call{ID: id(2), Correlation: "one process"}
	f.must(Add{K: "c", Tag: "x", N: 2}, same)
	f.must(Add{K: "d", Tag: "x", N: 2}, same)
	if f.events("c")[0].ID == f.events("d")[0].ID {
		t.Error("two events share an id")
	}
}

func TestIfMatch(t *testing.T) {
	f := begin(t)
	at := func(revision uint64) es.Call { return es.Call{IfMatch: es.At(revision)} }
	f.fails(es.ErrPrecondition, Add{K: "a", Tag: "x", N: 1}, at(0))
	f.fails(es.ErrPrecondition, Add{K: "a", Tag: "x", N: 1}, at(1<<64-1)) // is not "no stream"
	f.must(Add{K: "a", Tag: "x", N: 1}, es.Call{})
	f.must(Add{K: "a", Tag: "y", N: 1}, at(0))
	f.fails(es.ErrPrecondition, Add{K: "a", Tag: "z", N: 1}, at(0))
	f.must(Add{K: "a", Tag: "z", N: 1}, at(1))
	f.fails(es.ErrPrecondition, Add{K: "b", Tag: "x", N: 1}, es.Call{IfMatch: &es.Condition{Any: true}}) // there is no b
	f.fails(es.ErrPrecondition, Add{K: "a", Tag: "v", N: 1}, es.Call{IfMatch: &es.Condition{}})
	f.fails(es.ErrPrecondition, Add{K: "a", Tag: "v", N: 1}, es.Call{IfMatch: &es.Condition{Revisions: []uint64{0, 1, 3}}})
	f.must(Add{K: "a", Tag: "v", N: 1}, es.Call{IfMatch: &es.Condition{Revisions: []uint64{0, 2}}})
	f.must(Add{K: "a", Tag: "w", N: 1}, es.Call{IfMatch: &es.Condition{Any: true}})
	if d := cmp.Diff(map[string]int{"x": 1, "y": 1, "z": 1, "v": 1, "w": 1}, f.tags("a")); d != "" {
		t.Error(d)
	}
}

func TestAnswersThatAppendNothing(t *testing.T) {
	f := begin(t)
	if r := f.must(Add{K: "a"}, es.Call{ID: id(0)}); len(r.Events) != 0 || r.Replayed || r.Position != 0 {
		t.Errorf("nothing to do on no stream: %+v", r)
	}
	p := f.must(Add{K: "a", Tag: "x", N: 3}, es.Call{ID: id(1)})
	if r := f.must(Add{K: "a"}, es.Call{ID: id(2)}); len(r.Events) != 0 || r.Replayed || r.Revision != 0 || r.Position != p.Position {
		t.Errorf("nothing to do: %+v", r)
	}
	_, err := f.do(Add{K: "a", Tag: "y", N: 3, Limit: 5}, es.Call{ID: id(3)})
	if es.Rejected(err) != limit {
		t.Errorf("got %v, want a rejection", err)
	}
	// A rejection stores nothing and is decided again.
	if r := f.must(Add{K: "a", Tag: "y", N: 3, Limit: 6}, es.Call{ID: id(3)}); r.Replayed || len(r.Events) != 1 {
		t.Errorf("the rejected one again: %+v", r)
	}
	if f.store.Appends() != 2 {
		t.Errorf("%d appends", f.store.Appends())
	}
}

// An answer that appends nothing must rest on a read after the command came: no conflict will correct it.
func TestAnswersThatAppendNothingAreFresh(t *testing.T) {
	for _, other := range []struct {
		name string
		try  func(f *fixture) error
	}{
		{"rejection", func(f *fixture) error {
			_, err := f.do(Add{K: "a", Tag: "mine", N: 3, Limit: 10}, es.Call{ID: id("mine")})
			if es.Rejected(err) != limit {
				return fmt.Errorf("%w, want a rejection", err)
			}
			return nil
		}},
		{"acceptance after a cached rejection", func(f *fixture) error {
			_, err := f.do(Decide{K: "a", F: func(t Tally) ([]es.Event, error) {
				if t.Tags["theirs"] == 0 {
					return es.Reject(limit, "theirs is not there")
				}
				return es.Facts(Added{Tag: "mine", N: 1})
			}}, es.Call{ID: id("mine")})
			return err
		}},
		{"nothing to do", func(f *fixture) error {
			r, err := f.do(Decide{K: "a", F: func(t Tally) ([]es.Event, error) {
				if t.Tags["theirs"] > 0 {
					return es.Facts(Added{Tag: "mine", N: 1})
				}
				return es.Nothing()
			}}, es.Call{ID: id("mine")})
			if err == nil && len(r.Events) == 0 {
				return errors.New("nothing was done on a stale state")
			}
			return err
		}},
		{"replay", func(f *fixture) error {
			r, err := f.do(Add{K: "a", Tag: "theirs", N: 9}, es.Call{ID: id("theirs"), Digest: []byte("d")})
			if err == nil && !r.Replayed {
				return fmt.Errorf("decided again: %+v", r)
			}
			return err
		}},
		{"key reuse", func(f *fixture) error {
			_, err := f.do(Add{K: "a", Tag: "theirs", N: 0}, es.Call{ID: id("theirs"), Digest: []byte("e")})
			if !errors.Is(err, es.ErrKeyReused) {
				return fmt.Errorf("%w, want ErrKeyReused", err)
			}
			return nil
		}},
		{"If-Match", func(f *fixture) error {
			one := uint64(1)
			_, err := f.do(Add{K: "a", Tag: "mine", N: 1}, es.Call{ID: id("mine"), IfMatch: es.At(one)})
			return err
		}},
		{"stale If-Match", func(f *fixture) error {
			zero := uint64(0)
			_, err := f.do(Add{K: "a", Tag: "mine", N: 1}, es.Call{ID: id("mine"), IfMatch: es.At(zero)})
			if !errors.Is(err, es.ErrPrecondition) {
				return fmt.Errorf("%w, want ErrPrecondition", err)
			}
			return nil
		}},
	} {
		t.Run(other.name, func(t *testing.T) {
			f := begin(t)
			f.must(Add{K: "a", Tag: "first", N: 1}, es.Call{ID: id("first")}) // the lane is warm now
			h := f.h
			f.h = f.handler()
			f.pass(time.Millisecond)
			f.must(Add{K: "a", Tag: "theirs", N: 9}, es.Call{ID: id("theirs"), Digest: []byte("d")})
			f.h = h
			f.pass(time.Millisecond)
			if err := other.try(f); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	f := begin(t)
	at := func(i int) (time.Time, time.Time) {
		e := f.events("a")[i]
		return e.Meta.OccurredAt, e.Meta.StatedAt
	}
	check := func(i int, occurred, stated time.Time) {
		t.Helper()
		if o, s := at(i); !o.Equal(occurred) || !s.Equal(stated) || o.Location() != time.UTC {
			t.Errorf("event %d occurred at %v, stated %v; want %v, %v", i, o, s, occurred, stated)
		}
	}
	never := time.Time{}
	past := start.Add(-24 * time.Hour)
	f.must(Add{K: "a", N: 1}, es.Call{OccurredAt: past.In(time.FixedZone("x", 3600)).Add(999)})
	check(0, past, never) // the stated time, in UTC, cut to microseconds
	f.must(Add{K: "a", N: 1}, es.Call{OccurredAt: past.Add(-time.Hour)})
	check(1, past, past.Add(-time.Hour)) // raised to the event before it; what was stated stays
	f.must(Add{K: "a", N: 1}, es.Call{})
	check(2, start, never)
	f.must(Add{K: "a", N: 1}, es.Call{OccurredAt: start.Add(5 * time.Second)})
	check(3, start.Add(5*time.Second), never)
	f.must(Add{K: "a", N: 1, Times: 2}, es.Call{}) // the clock is behind the last business time
	check(4, start.Add(5*time.Second), never)
	check(5, start.Add(5*time.Second), never)
	f.fails(es.ErrFuture, Add{K: "a", N: 1}, es.Call{OccurredAt: start.Add(5*time.Second + time.Microsecond)})
	both := []es.Asked[Tally]{{Add{K: "b", N: 1}, es.Call{OccurredAt: start.Add(time.Hour)}}, {Add{K: "b", N: 1}, es.Call{}}}
	if out, err := es.HandleAll(t.Context(), f.h, both); err != nil || !errors.Is(out[0].Err, es.ErrFuture) || out[1].Err != nil || len(out[1].Receipt.Records) != 1 {
		t.Errorf("of two commands, one of the future: %+v %v", out, err)
	}
	f.pass(time.Microsecond)
	f.must(Add{K: "a", N: 1}, es.Call{OccurredAt: start.Add(5*time.Second + time.Microsecond)})
	f.h = f.handler() // which must read the last time from the stream
	f.must(Add{K: "a", N: 1}, es.Call{OccurredAt: start})
	check(7, start.Add(5*time.Second+time.Microsecond), start)
}

func TestRefusedEvents(t *testing.T) {
	f := begin(t)
	f.fails(es.ErrEventTooLarge, Add{K: "a", N: 1, Text: strings.Repeat("x", es.MaxEventBytes)}, es.Call{})
	f.must(Add{K: "a", N: 1, Text: strings.Repeat("x", es.MaxEventBytes-1000)}, es.Call{})
	f.fails(es.ErrNUL, Add{K: "a", N: 1, Text: "a\x00b"}, es.Call{})
	f.fails(es.ErrNUL, Add{K: "a", N: 1}, es.Call{Actor: es.Actor{ID: "\x00"}})
	f.must(Add{K: "a", N: 1, Text: `a\u0000b`}, es.Call{}) // that is text about it
	if _, err := f.do(Decide{K: "a", F: facts(Stray{})}, es.Call{}); err == nil || !strings.Contains(err.Error(), "stray.happened") {
		t.Errorf("an event of another category: %v", err)
	}
	if _, err := f.do(Add{N: 1}, es.Call{}); err == nil {
		t.Error("a command without a key was done")
	}
	if _, err := f.do(Decide{K: "a", F: func(Tally) ([]es.Event, error) { panic("oh") }}, es.Call{}); err == nil || !strings.Contains(err.Error(), "oh") {
		t.Errorf("a decision that panics: %v", err)
	}
	if n := len(f.events("a")); n != 2 {
		t.Errorf("%d events stand", n)
	}
}

func TestNUL(t *testing.T) {
	for _, text := range []string{"", "a", "\x00", "a\x00", `\u0000`, `\\u0000`, "\\\x00", `\\` + "\x00", `"\u0000`, "é\x00", `\u00000`, "\u0001"} {
		data, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := es.HasNUL(data), strings.Contains(text, "\x00"); got != want {
			t.Errorf("%s: %v, want %v", data, got, want)
		}
	}
}

func FuzzNUL(f *testing.F) {
	for _, s := range []string{"", "\x00", `\u0000`, `\\u0000`, "\\\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		data, err := json.Marshal(text)
		if err != nil {
			t.Skip()
		}
		if got, want := es.HasNUL(data), strings.Contains(text, "\x00"); got != want {
			t.Errorf("%s: %v, want %v", data, got, want)
		}
	})
}

func TestNumberedStreams(t *testing.T) {
	f := begin(t)
	r := f.must(Decide{K: "a", N_: 3, F: facts(Added{Tag: "x", N: 1})}, es.Call{})
	if r.Stream.String() != "tally-a.3" || r.Stream.Partition() != "a" {
		t.Errorf("stream %s of partition %s", r.Stream, r.Stream.Partition())
	}
	if len(f.events("a")) != 0 {
		t.Error("it went to the stream without number")
	}
}

func TestErasedCommand(t *testing.T) {
	f := begin(t)
	c := es.Erase[Tally](Add{K: "a", Tag: "x", N: 1})
	if c.CommandType() != "tally.add" || c.Stream().String() != "tally-a" || c.Decision() != any(Add{K: "a", Tag: "x", N: 1}) {
		t.Errorf("erased: %s on %s: %v", c.CommandType(), c.Stream(), c.Decision())
	}
	for range 2 {
		if _, err := f.h.Send(t.Context(), c, es.Call{ID: id(1)}); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(map[string]int{"x": 1}, f.tags("a")); d != "" {
		t.Error(d)
	}
}

// Ids are forgotten 72 h after the newest event, not before.
func TestForgottenCommands(t *testing.T) {
	f := begin(t)
	f.must(Add{K: "a", Tag: "old", N: 1}, es.Call{ID: id("old")})
	for i := range 300 {
		f.must(Add{K: "a", Tag: tag(i), N: 1}, es.Call{ID: id(i)})
	}
	f.pass(72 * time.Hour)
	for i := 300; i < 700; i++ {
		f.must(Add{K: "a", Tag: tag(i), N: 1}, es.Call{ID: id(i)})
	}
	if r := f.must(Add{K: "a", Tag: "old", N: 1}, es.Call{ID: id("old")}); !r.Replayed {
		t.Error("a command of 72 hours ago was done again")
	}
	f.pass(time.Second)
	for i := 700; i < 2000; i++ {
		f.must(Add{K: "a", Tag: tag(i), N: 1}, es.Call{ID: id(i)})
	}
	if r := f.must(Add{K: "a", Tag: "old", N: 1}, es.Call{ID: id("old")}); r.Replayed {
		t.Error("a command of more than 72 hours ago is still remembered")
	}
	if r := f.must(Add{K: "a", N: 1}, es.Call{ID: id(1999)}); !r.Replayed {
		t.Error("the newest command was forgotten")
	}
}

func TestLoad(t *testing.T) {
	f := begin(t)
	got, err := es.Load[Tally](t.Context(), f.h, "a", nil)
	if err != nil || got.Revision != es.NoStream || got.State.Sum != 0 {
		t.Errorf("no stream: %+v, %v", got, err)
	}
	for i := range 4 {
		f.pass(time.Minute)
		f.must(Add{K: "a", Tag: tag(i), N: 1}, es.Call{})
	}
	got, err = es.Load[Tally](t.Context(), f.h, "a", nil)
	if err != nil || got.Revision != 3 || got.State.Sum != 4 || got.Position != 8 || !got.At.Equal(start.Add(4*time.Minute)) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = es.Load[Tally](t.Context(), f.h, "a", func(r es.Recorded) bool { return r.OccurredAt().After(start.Add(2 * time.Minute)) })
	if err != nil || got.Revision != 1 || got.State.Sum != 2 {
		t.Errorf("as of a moment: %+v, %v", got, err)
	}
}
