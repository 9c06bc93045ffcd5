package persistent

import (
	"errors"
	"math"
	"testing"
	"time"
)

// TestPinnedStaysWhenOthersComeAndGo: what is pinned to a consumer stays there; one that comes gets its share, what one had that goes
// is shared among the rest.
func TestPinnedStaysWhenOthersComeAndGo(t *testing.T) {
	t.Parallel()
	s := newState(Config{Settings: Settings{Strategy: Pinned}})
	owners := func() map[string]*Consumer {
		got := map[string]*Consumer{}
		for n := range uint64(60) {
			s.add(message(n, n), n)
		}
		s.pump(time.Now())
		for _, c := range s.consumers {
			for _, m := range c.unsent {
				stream := string(m.Event.Stream)
				if other := got[stream]; other != nil && other != c {
					t.Errorf("%s went to two consumers", stream)
				}
				got[stream] = c
			}
			for len(c.unsent) > 0 {
				s.ack(c, c.unsent[0].Event.ID)
			}
		}
		return got
	}
	shares := func(owner map[string]*Consumer) []int {
		n := map[*Consumer]int{}
		for _, c := range owner {
			n[c]++
		}
		var counts []int
		for _, c := range s.consumers {
			counts = append(counts, n[c])
		}
		return counts
	}
	s.join(newConsumer(Client{Buffer: 100}))
	s.join(newConsumer(Client{Buffer: 100}))
	two := owners()
	s.join(newConsumer(Client{Buffer: 100}))
	three := owners()
	moved := 0
	for stream, c := range two {
		if three[stream] != c {
			moved++
		}
	}
	if got := shares(three); moved > 1 || max(got[0], got[1], got[2])-min(got[0], got[1], got[2]) > 1 {
		t.Errorf("of 5 streams %d went to another consumer when a third one came; they have %v", moved, got)
	}
	gone := s.consumers[0]
	s.leave(gone)
	for stream, c := range owners() {
		if three[stream] != gone && three[stream] != c {
			t.Errorf("%s went to another consumer although its own stayed", stream)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	good := Settings{LiveBuffer: 500, ReadBatch: 20, HistoryBuffer: 500, MinCheckpoint: 10, MaxCheckpoint: 1000, Strategy: RoundRobin}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Settings){
		"the greatest buffers":                     func(s *Settings) { s.LiveBuffer, s.HistoryBuffer = math.MaxInt32, math.MaxInt32 },
		"no live buffer":                           func(s *Settings) { s.LiveBuffer = 0 },
		"the standard batch":                       func(s *Settings) { s.ReadBatch = 0 },
		"a checkpoint at most before one at least": func(s *Settings) { s.MaxCheckpoint = 5 },
	} {
		s := good
		change(&s)
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Settings){
		"small history": func(s *Settings) { s.HistoryBuffer = 20 }, "no history": func(s *Settings) { s.HistoryBuffer, s.ReadBatch = 0, 0 },
		"negative": func(s *Settings) { s.MaxRetry = -1 }, "strategy": func(s *Settings) { s.Strategy = "Random" },
	} {
		s := good
		change(&s)
		if _, ok := errors.AsType[*RefusedError](s.Check()); !ok {
			t.Errorf("%s: accepted", name)
		}
	}
}
