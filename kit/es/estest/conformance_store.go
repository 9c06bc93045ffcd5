package estest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

func storeCases() []conformanceCase {
	return []conformanceCase{
		{name: "what is appended is read", run: appendedIsRead},
		{name: "streams that do not exist are empty", run: absentStreams},
		{name: "names keep streams apart", run: namesKeepApart},
		{name: "reading from a revision", run: readFrom},
		{name: "a wrong revision writes nothing", run: wrongRevision},
		{name: "an append repeated is answered again", run: repeatedAppend},
		{name: "other ids at the same place are refused", run: overlappingAppend},
		{name: "an append of nothing is refused", run: emptyAppend},
		{name: "appends to one stream exclude each other", run: contendedStream},
		{name: "the same append many times at once", run: sameAppendAtOnce},
		{name: "streams side by side", run: sideBySide},
		{name: "a growing stream has no holes", run: growingStream},
		{name: "large events", run: largeEvents},
		{name: "too large an append", run: tooLarge},
		{name: "ended contexts", run: endedContexts},
		{name: "records belong to their reader", run: ownRecords},
	}
}

func appendedIsRead(s *subject) {
	id := s.stream("")
	first, second := s.propose(1), s.propose(3)
	p1 := s.append(id, es.NoStream, first...)
	p2 := s.append(id, 0, second...)
	s.holds(id, slices.Concat(first, second))
	got := s.read(id, 0)
	if got[0].Position != p1 || got[3].Position != p2 {
		s.Errorf("appends gave positions %d and %d, the events stand at %d and %d", p1, p2, got[0].Position, got[3].Position)
	}
	empty := es.Proposed{ID: s.propose(1)[0].ID, Type: "conformance.empty", Data: []byte("{}"), Meta: []byte("{}")}
	s.append(id, 3, empty)
	s.same(id, 4, s.read(id, 4), []es.Proposed{empty})
}

func absentStreams(s *subject) {
	if got := s.read(s.stream(""), 0); len(got) != 0 {
		s.Errorf("a stream without an append has %d events", len(got))
	}
	if got := s.read(s.stream(""), 7); len(got) != 0 {
		s.Errorf("a stream without an append has %d events from 7 on", len(got))
	}
	s.append(s.stream(""), es.NoStream, s.propose(2)...)
	for _, from := range []uint64{2, 3, 1 << 40} {
		if got := s.read(s.stream(""), from); len(got) != 0 {
			s.Errorf("a stream of 2 events has %d from %d on", len(got), from)
		}
	}
}

func namesKeepApart(s *subject) {
	streams := []es.StreamID{
		s.stream("a"), s.stream("A"), s.stream("a b"), s.stream("a.1"), s.stream("~"), s.stream("~7E"), s.stream("é"), s.stream("-"),
		s.stream("a/b?c=d&e%2F"), s.stream("日本"), {Category: "conformance", Key: s.run + "a", N: 1}, {Category: "conformance", Key: s.run + "a", N: 12},
		{Category: "other", Key: s.run + "a"}, {Key: "nocategory" + s.run},
	}
	want := make([][]es.Proposed, len(streams))
	for i, id := range streams {
		want[i] = s.propose(1)
		s.append(id, es.NoStream, want[i]...)
	}
	for i, id := range streams {
		s.holds(id, want[i])
	}
}

func readFrom(s *subject) {
	id := s.stream("")
	events := s.propose(10)
	s.append(id, es.NoStream, events[:4]...)
	s.append(id, 3, events[4:]...)
	for from := range events {
		s.same(id, uint64(from), s.read(id, uint64(from)), events[from:])
	}
	seen := 0
	for r, err := range s.Store.Read(s.ctx, id, 2) {
		if err != nil || r.ID != events[2+seen].ID {
			s.Fatalf("event %d from 2 on: %v, %v", seen, r, err)
		}
		if seen++; seen == 3 {
			break // the store must take it
		}
	}
	s.holds(id, events)
}

func wrongRevision(s *subject) {
	id := s.stream("")
	refused := func(at es.Expected, n int) {
		s.Helper()
		if p, err := s.Store.Append(s.ctx, id, at, s.propose(n)); !errors.Is(err, es.ErrWrongRevision) || errors.Is(err, es.ErrUnknownOutcome) {
			s.Errorf("append expecting %d: %d, %v; want ErrWrongRevision", at, p, err)
		}
	}
	refused(0, 1)
	refused(7, 2)
	s.holds(id, []es.Proposed{})
	events := s.propose(3)
	s.append(id, es.NoStream, events...)
	for _, at := range []es.Expected{es.NoStream, 0, 1, 3, 4, 1 << 40} {
		refused(at, 1)
		refused(at, 5)
	}
	s.holds(id, events)
	s.append(id, 2, s.propose(1)...)
}

func repeatedAppend(s *subject) {
	id := s.stream("")
	first, second, third := s.propose(2), s.propose(1), s.propose(2)
	again := func(at es.Expected, events []es.Proposed, want uint64) {
		s.Helper()
		if got := s.append(id, at, events...); got != want {
			s.Errorf("append at %d again: position %d, at first %d", at, got, want)
		}
	}
	p1 := s.append(id, es.NoStream, first...)
	again(es.NoStream, first, p1)
	p2 := s.append(id, 1, second...)
	again(1, second, p2)
	again(es.NoStream, first, p1)
	p3 := s.append(id, 2, third...)
	again(1, second, p2)
	again(es.NoStream, first, p1)
	again(2, third, p3)

	other := slices.Clone(first) // ids are what counts
	other[0].Data = []byte(`{"n":"another"}`)
	again(es.NoStream, other, p1)
	s.holds(id, slices.Concat(first, second, third))
}

func overlappingAppend(s *subject) {
	id := s.stream("")
	recorded, fresh := s.propose(2), s.propose(2)
	s.append(id, es.NoStream, recorded...)
	for name, events := range map[string][]es.Proposed{
		"one more":         {recorded[0], recorded[1], fresh[0]},
		"another first":    {fresh[0], recorded[1]},
		"another second":   {recorded[0], fresh[1]},
		"the other order":  {recorded[1], recorded[0]},
		"at another place": {recorded[1]},
	} {
		if p, err := s.Store.Append(s.ctx, id, es.NoStream, events); !errors.Is(err, es.ErrWrongRevision) {
			s.Errorf("%s: %d, %v; want ErrWrongRevision", name, p, err)
		}
	}
	s.holds(id, recorded)
}

func emptyAppend(s *subject) {
	if p, err := s.Store.Append(s.ctx, s.stream(""), es.NoStream, nil); err == nil || p != 0 {
		s.Errorf("append of nothing: %d, %v; want an error", p, err)
	}
	s.holds(s.stream(""), []es.Proposed{})
}

// contendedStream lets writers race for every revision: each event is recorded once, by the writer that was acknowledged.
func contendedStream(s *subject) {
	const writers, each = 8, 20
	id := s.stream("")
	var won sync.Map // revision -> id
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			at := es.NoStream
			for done := 0; done < each; {
				e := s.propose(1)
				_, err := s.Store.Append(s.ctx, id, at, e)
				switch {
				case err == nil:
					at++
					done++
					if other, twice := won.LoadOrStore(uint64(at), e[0].ID); twice {
						s.Errorf("revision %d was given to %v and %v", at, other, e[0].ID)
					}
				case errors.Is(err, es.ErrWrongRevision):
					at = es.Expected(len(s.readQuietly(id))) - 1
				default:
					s.Errorf("append to %s at %d: %v", id, at, err)
					return
				}
			}
		})
	}
	all.Wait()
	got := s.read(id, 0)
	if len(got) != writers*each {
		s.Errorf("%d events stand, %d were acknowledged", len(got), writers*each)
	}
	for i, r := range got {
		if id, ok := won.Load(uint64(i)); !ok || id != r.ID || r.Revision != uint64(i) {
			s.Errorf("at %d is %v (revision %d), acknowledged was %v", i, r.ID, r.Revision, id)
		}
	}
}

// readQuietly is read for other goroutines than the test's.
func (s *subject) readQuietly(id es.StreamID) (got []es.Record) {
	for r, err := range s.Store.Read(s.ctx, id, 0) {
		if err != nil {
			s.Errorf("read %s: %v", id, err)
			return nil
		}
		got = append(got, r)
	}
	return got
}

func sameAppendAtOnce(s *subject) {
	for round := range 10 {
		id := es.StreamID{Category: "conformance", Key: s.run, N: round + 1}
		events := s.propose(3)
		positions := make([]uint64, 8)
		var all sync.WaitGroup
		for i := range positions {
			all.Go(func() {
				var err error
				if positions[i], err = s.Store.Append(s.ctx, id, es.NoStream, events); err != nil {
					s.Errorf("append %d of the same events: %v", i, err)
				}
			})
		}
		all.Wait()
		s.holds(id, events)
		for _, p := range positions {
			if p != positions[0] {
				s.Errorf("the same append was answered with positions %v", positions)
				break
			}
		}
	}
}

func sideBySide(s *subject) {
	const streams, each = 16, 20
	want := make([][]es.Proposed, streams)
	var all sync.WaitGroup
	for i := range want {
		want[i] = s.propose(each)
		all.Go(func() {
			for at, e := range want[i] {
				id := es.StreamID{Category: "conformance", Key: s.run, N: i + 1}
				if _, err := s.Store.Append(s.ctx, id, es.Expected(at)-1, []es.Proposed{e}); err != nil {
					s.Errorf("append to %s: %v", id, err)
					return
				}
			}
		})
	}
	all.Wait()
	for i := range want {
		s.holds(es.StreamID{Category: "conformance", Key: s.run, N: i + 1}, want[i])
	}
}

// growingStream reads while somebody appends: what has been acknowledged before is there, and in order.
func growingStream(s *subject) {
	const n = 200
	id := s.stream("")
	events := s.propose(n)
	acknowledged := make(chan int, n)
	go func() {
		defer close(acknowledged)
		for i, e := range events {
			if _, err := s.Store.Append(s.ctx, id, es.Expected(i)-1, []es.Proposed{e}); err != nil {
				s.Errorf("append: %v", err)
				return
			}
			acknowledged <- i + 1
		}
	}()
	for have := range acknowledged {
		if have%7 != 0 && have != n {
			continue
		}
		got := s.read(id, uint64(have/2)) //nolint:gosec // small
		if len(got) < have-have/2 {
			s.Fatalf("%d events were acknowledged, %d are read from %d on", have, len(got), have/2)
		}
		s.same(id, uint64(have/2), got, events[have/2:have/2+len(got)]) //nolint:gosec // small
	}
}

func largeEvents(s *subject) {
	id := s.stream("")
	most := 900 << 10
	if s.MaxAppend > 0 {
		most = min(most, s.MaxAppend*9/10)
	}
	var events []es.Proposed
	for _, size := range []int{60 << 10, 66 << 10, most / 4} {
		e := s.weighing(size)
		s.append(id, es.Expected(len(events))-1, e)
		events = append(events, e)
	}
	many := []es.Proposed{s.weighing(most / 4), s.weighing(most / 4), s.weighing(17), s.weighing(most / 4)}
	s.append(id, es.Expected(len(events))-1, many...)
	events = append(events, many...)
	s.holds(id, events)
	if s.Log != nil {
		got := s.readAll(s.read(id, 0)[0].Position - 1)
		s.same(id, 0, got, events)
	}
}

func tooLarge(s *subject) {
	if s.MaxAppend == 0 {
		s.Skip("too large an append: no bound is declared")
	}
	id := s.stream("")
	first := s.propose(1)
	s.append(id, es.NoStream, first...)
	piece := s.MaxAppend / 6
	for name, events := range map[string][]es.Proposed{
		"one event":   {s.weighing(s.MaxAppend + s.MaxAppend/4)},
		"many events": {s.weighing(piece), s.weighing(piece), s.weighing(piece), s.weighing(piece), s.weighing(piece), s.weighing(piece), s.weighing(piece), s.weighing(piece)},
	} {
		if p, err := s.Store.Append(s.ctx, id, 0, events); !errors.Is(err, es.ErrTooLarge) || errors.Is(err, es.ErrUnknownOutcome) {
			s.Errorf("%s: %d, %v; want ErrTooLarge", name, p, err)
		}
	}
	s.holds(id, first)
	s.append(id, 0, s.propose(1)...) // and it goes on
}

func endedContexts(s *subject) {
	id := s.stream("")
	s.append(id, es.NoStream, s.propose(5)...)
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	begun := time.Now()
	if _, err := s.Store.Append(ended, id, 4, s.propose(1)); err == nil {
		s.Error("append under an ended context succeeded")
	}
	failed := false
	for _, err := range s.Store.Read(ended, id, 0) {
		failed = failed || err != nil
	}
	if !failed {
		s.Error("reading under an ended context ended without an error")
	}
	if took := time.Since(begun); took > 20*time.Second {
		s.Errorf("calls under an ended context took %v", took)
	}
	s.append(s.stream("other"), es.NoStream, s.propose(1)...)
}

func ownRecords(s *subject) {
	id := s.stream("")
	events := s.propose(2)
	given := []es.Proposed{events[0], events[1]}
	for i := range given {
		given[i].Data, given[i].Meta = slices.Clone(given[i].Data), slices.Clone(given[i].Meta)
	}
	s.append(id, es.NoStream, given...)
	for i := range given { // the caller may use its buffers again
		clear(given[i].Data)
		clear(given[i].Meta)
	}
	for _, r := range s.read(id, 0) {
		clear(r.Data)
		clear(r.Meta)
	}
	s.holds(id, events)
}
