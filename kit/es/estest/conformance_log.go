package estest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
)

func logCases() []conformanceCase {
	return []conformanceCase{
		{name: "the log has every event once, in order", log: true, run: logOrder},
		{name: "the end of the log", log: true, run: logEnd},
		{name: "the store's own events stay inside", log: true, run: logFilter},
		{name: "many events in the log", log: true, run: logMany},
		{name: "following catches up and goes on", log: true, run: followLive},
		{name: "following from the end", log: true, run: followFromEnd},
		{name: "following under load skips nothing", log: true, run: followUnderLoad},
		{name: "a slow follower misses nothing", log: true, run: followSlowly},
		{name: "following ends with its context", log: true, run: followEnds},
		{name: "positions are revealed in order", log: true, run: noLateEvents},
		{name: "the incarnation stays", log: true, run: incarnation},
	}
}

func logOrder(s *subject) {
	start := s.end()
	var want []es.UUID
	heads := map[string]es.Expected{}
	for i := range 30 {
		name := string(rune('a' + i%3))
		at, ok := heads[name]
		if !ok {
			at = es.NoStream
		}
		events := s.propose(1 + i%3)
		s.append(s.stream(name), at, events...)
		heads[name] = at + es.Expected(len(events))
		want = append(want, idsOf(events)...)
	}
	got := s.readAll(start)
	if d := cmp.Diff(want, ids(got)); d != "" {
		s.Fatalf("the log (-appended +read):\n%s", d)
	}
	for i := range got {
		if d := cmp.Diff(want[i+1:], ids(s.readAll(got[i].Position))); d != "" {
			s.Fatalf("the log after position %d (-appended +read):\n%s", got[i].Position, d)
		}
	}
	for _, r := range got { // both views are of the same events
		if d := cmp.Diff([]es.Record{r}, s.read(r.Stream, r.Revision)[:1]); d != "" {
			s.Fatalf("%s@%d in the log and in its stream differ:\n%s", r.Stream, r.Revision, d)
		}
	}
	for r, err := range s.Log.ReadAll(s.ctx, start) { // stopping early is allowed
		if err != nil {
			s.Fatalf("read all: %v", err)
		}
		if s.mine(r) {
			break
		}
	}
}

func logEnd(s *subject) {
	before := s.end()
	p := s.append(s.stream(""), es.NoStream, s.propose(3)...)
	if p <= before {
		s.Errorf("position %d after the log's end was at %d", p, before)
	}
	if end := s.end(); end < p || (!s.Shared && end != p) {
		s.Errorf("the log ends at %d, the last event is at %d", end, p)
	}
	if got := s.readAll(s.end()); len(got) != 0 {
		s.Errorf("%d events after the end", len(got))
	}
}

func logFilter(s *subject) {
	if !s.System {
		s.Skip("the store's own events stay inside: it takes no such appends")
	}
	start := s.end()
	system := s.propose(2)
	system[0].Type, system[1].Type = "$conformance", "$conformance"
	seen := s.propose(3)
	s.append(es.StreamID{Key: "$conformance" + s.run}, es.NoStream, s.propose(2)...)
	s.append(s.stream("a"), es.NoStream, seen[0], system[0], seen[1])
	s.append(es.StreamID{Category: "$conformance", Key: s.run}, es.NoStream, s.propose(1)...)
	p := s.append(s.stream("b"), es.NoStream, seen[2])
	s.append(s.stream("b"), 0, system[1])
	s.append(es.StreamID{Key: "$conformance" + s.run}, 1, s.propose(40)...)
	if d := cmp.Diff(idsOf(seen), ids(s.readAll(start))); d != "" {
		s.Errorf("the log (-want +got):\n%s", d)
	}
	if end := s.end(); end < p || (!s.Shared && end != p) {
		s.Errorf("the log ends at %d, the last event for its readers is at %d", end, p)
	}
	if got := s.read(s.stream("a"), 0); len(got) != 3 {
		s.Errorf("the stream itself has %d events, want 3", len(got))
	}
	f := s.follow(start)
	defer f.stop()
	if d := cmp.Diff(idsOf(seen), ids(f.untilCaughtUp())); d != "" {
		s.Errorf("following (-want +got):\n%s", d)
	}
	s.append(es.StreamID{Key: "$conformance" + s.run}, 41, s.propose(1)...)
	live := s.propose(1)
	s.append(s.stream("b"), 1, live...)
	if d := cmp.Diff(idsOf(live), ids(f.until(1))); d != "" {
		s.Errorf("following live (-want +got):\n%s", d)
	}
}

func logMany(s *subject) {
	const n, each = 3000, 100
	start := s.end()
	events := s.propose(n)
	for at := 0; at < n; at += each {
		s.append(s.stream(""), es.Expected(at)-1, events[at:at+each]...)
	}
	s.same(s.stream(""), 0, s.readAll(start), events)
	s.holds(s.stream(""), events)
}

func followLive(s *subject) {
	start := s.end()
	id := s.stream("")
	events := s.propose(20)
	s.append(id, es.NoStream, events[:10]...)
	f := s.follow(start)
	defer f.stop()
	if d := cmp.Diff(idsOf(events[:10]), ids(f.untilCaughtUp())); d != "" {
		s.Fatalf("catching up (-want +got):\n%s", d)
	}
	for i := 10; i < len(events); i++ {
		s.append(id, es.Expected(i)-1, events[i])
		s.same(id, uint64(i), f.until(1), events[i:i+1])
	}
}

func followFromEnd(s *subject) {
	p := s.append(s.stream(""), es.NoStream, s.propose(3)...)
	f := s.follow(p)
	defer f.stop()
	if got := f.untilCaughtUp(); len(got) != 0 {
		s.Errorf("%d events after the end", len(got))
	}
	e := s.propose(1)
	s.append(s.stream(""), 2, e...)
	s.same(s.stream(""), 3, f.until(1), e)
}

// appendAtOnce lets writers append to a stream each, one event after another, until the group is done.
func (s *subject) appendAtOnce(writers, each int) *sync.WaitGroup {
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if _, err := s.Store.Append(s.ctx, s.stream(string(rune('a'+w))), es.Expected(i)-1, s.propose(1)); err != nil {
					s.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	return &all
}

// followUnderLoad joins while others append, again and again from where it was, and must see what ReadAll sees.
func followUnderLoad(s *subject) {
	const writers, each = 4, 150
	start := s.end()
	all := s.appendAtOnce(writers, each)
	var got []es.Record
	for at := start; len(got) < writers*each && !s.Failed(); {
		f := s.follow(at)
		got = append(got, f.until(min(97, writers*each-len(got)))...)
		f.stop()
		at = got[len(got)-1].Position
	}
	all.Wait()
	if d := cmp.Diff(ids(s.readAll(start)), ids(got)); d != "" {
		s.Errorf("followers missed or doubled something (-log +followed):\n%.4000s", d)
	}
}

func followSlowly(s *subject) {
	const n, each = 2000, 100
	start := s.end()
	events := s.propose(n)
	next, stop := pull(s.Log.Follow(s.ctx, start))
	defer stop()
	for at := 0; at < n; at += each { // nothing is taken meanwhile
		s.append(s.stream(""), es.Expected(at)-1, events[at:at+each]...)
	}
	var got []es.Record
	for len(got) < n {
		r, err := next()
		if err != nil {
			s.Fatalf("after %d of %d events: %v", len(got), n, err)
		}
		if r.Position > 0 && s.mine(r) {
			got = append(got, r)
		}
	}
	s.same(s.stream(""), 0, got, events)
}

func followEnds(s *subject) {
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan error, 1)
	caughtUp := make(chan struct{})
	go func() {
		var last error
		var once sync.Once
		for r, err := range s.Log.Follow(ctx, s.end()) {
			if last = err; err == nil && r.Position == 0 {
				once.Do(func() { close(caughtUp) })
			}
		}
		ended <- last
	}()
	<-caughtUp
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			s.Errorf("it ended with %v, want the context's error", err)
		}
	case <-time.After(30 * time.Second):
		s.Fatal("it went on after its context had ended")
	}
}

// noLateEvents watches the log's end while many append: an event that shows up below a position that was read already
// would be lost to every checkpoint.
func noLateEvents(s *subject) {
	const writers, each = 8, 40
	start := s.end()
	all := s.appendAtOnce(writers, each)
	var seen []es.UUID
	for at := start; len(seen) < writers*each && !s.Failed(); {
		got := s.readAll(at)
		seen = append(seen, ids(got)...)
		if len(got) > 0 {
			at = got[len(got)-1].Position
		}
	}
	all.Wait()
	if d := cmp.Diff(ids(s.readAll(start)), seen); d != "" {
		s.Errorf("events appeared below a position that had been read (-log +seen):\n%.4000s", d)
	}
}

func incarnation(s *subject) {
	first, err := s.Log.Incarnation(s.ctx)
	if err != nil || first == "" {
		s.Fatalf("incarnation %q, %v", first, err)
	}
	s.append(s.stream(""), es.NoStream, s.propose(1)...)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if again, err := s.Log.Incarnation(s.ctx); err != nil || again != first {
				s.Errorf("incarnation %q, then %q, %v", first, again, err)
			}
		})
	}
	all.Wait()
}
