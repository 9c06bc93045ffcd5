package persistent

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/internal/embedded/eventserver/store"
)

func id(n uint64) (id store.ID) {
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func message(n uint64) *Message {
	return &Message{Event: &store.Record{Revision: n, ID: id(n), Stream: fmt.Appendf(nil, "s-%d", n%5), Meta: []byte("{}")}}
}

// TestGroupSteps tries random orders of reading, answering, timing out, leaving and parking, and holds the group to: no
// more in flight than a consumer allows; the checkpoint only behind what is done; in the end everything done.
func TestGroupSteps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		strategy := rapid.SampledFrom([]string{RoundRobin, DispatchToSingle, Pinned, PinnedByCorrelation}).Draw(t, "strategy")
		s := newState(Config{Stream: "s", Group: "g", Settings: Settings{MaxRetry: 2, MessageTimeout: time.Second, Strategy: strategy}})
		now := time.Unix(1, 0)
		done := map[uint64]bool{}
		read := uint64(0)
		held := map[*Consumer][]*Message{}
		receive := func() {
			for _, c := range s.consumers {
				for len(c.C) > 0 {
					held[c] = append(held[c], <-c.C)
				}
			}
		}
		check := func() {
			for i := uint64(0); s.begun && i <= s.reached; i++ {
				if !done[i] {
					t.Fatalf("the checkpoint is at %d, %d is not done", s.reached, i)
				}
			}
			inFlight := map[*Consumer]int{}
			for _, f := range s.flights {
				inFlight[f.to]++
			}
			for _, c := range s.consumers {
				if inFlight[c] > cap(c.C) || c.slots != cap(c.C)-inFlight[c] {
					t.Fatalf("%d in flight, %d slots free of %d", inFlight[c], c.slots, cap(c.C))
				}
			}
		}
		step := func(what string) {
			switch what {
			case "read":
				s.add(message(read), read)
				read++
			case "pass":
				s.pass(read)
				done[read] = true
				read++
			case "join":
				if len(s.consumers) < 4 {
					n := rapid.IntRange(1, 3).Draw(t, "buffer")
					s.consumers = append(s.consumers, &Consumer{C: make(chan *Message, n), Dropped: make(chan struct{}), slots: n})
				}
			case "leave":
				if len(s.consumers) > 0 {
					s.leave(s.consumers[0])
				}
			case "late":
				now = now.Add(2 * time.Second)
				s.expire(now)
			case "park":
				todo := s.parking
				s.parking = nil
				for _, p := range todo {
					done[p.m.Event.Revision] = true
					s.finish(p.m)
				}
			case "ack", "retry", "parkit":
				for c, ms := range held {
					if len(ms) == 0 {
						continue
					}
					m := ms[0]
					held[c] = ms[1:]
					f := s.flights[m.Event.ID]
					if f == nil || f.to != c {
						s.ack(c, m.Event.ID) // too late: must change nothing
						break
					}
					switch what {
					case "ack":
						done[m.Event.Revision] = true
						s.ack(c, m.Event.ID)
					case "retry":
						s.retry(s.land(c, m.Event.ID).m)
					default:
						s.park(s.land(c, m.Event.ID).m, "no")
					}
					break
				}
			}
			s.pump(now)
			receive()
			check()
		}
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"read", "read", "pass", "join", "leave", "late", "park", "ack", "ack", "retry", "parkit"}), 1, 80).Draw(t, "steps")
		for _, what := range steps {
			step(what)
		}
		step("join")
		for range 40 + 8*read {
			step("ack")
			step("park")
			step("late")
		}
		for n := range read {
			if !done[n] {
				t.Fatalf("%d of %d is never done", n, read)
			}
		}
		if read > 0 && (s.reached != read-1 || len(s.places) != 0) {
			t.Fatalf("the checkpoint ends at %d, want %d", s.reached, read-1)
		}
	})
}

func TestPinned(t *testing.T) {
	t.Parallel()
	s := newState(Config{Settings: Settings{Strategy: Pinned}})
	for range 3 {
		s.consumers = append(s.consumers, &Consumer{C: make(chan *Message, 100), Dropped: make(chan struct{}), slots: 100})
	}
	for n := range uint64(60) {
		s.add(message(n), n)
	}
	s.pump(time.Now())
	owner := map[string]int{}
	for i, c := range s.consumers {
		for len(c.C) > 0 {
			stream := string((<-c.C).Event.Stream)
			if before, ok := owner[stream]; ok && before != i {
				t.Errorf("%s went to %d and %d", stream, before, i)
			}
			owner[stream] = i
		}
	}
	if len(owner) != 5 {
		t.Errorf("%d streams were delivered, want 5", len(owner))
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	good := Settings{LiveBuffer: 500, ReadBatch: 20, HistoryBuffer: 500, MinCheckpoint: 10, MaxCheckpoint: 1000, Strategy: RoundRobin}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Settings){
		"no read batch": func(s *Settings) { s.ReadBatch = 0 }, "huge": func(s *Settings) { s.LiveBuffer = 1 << 30 },
		"small history": func(s *Settings) { s.HistoryBuffer = 20 }, "negative": func(s *Settings) { s.MaxRetry = -1 },
		"checkpoints": func(s *Settings) { s.MaxCheckpoint = 5 }, "strategy": func(s *Settings) { s.Strategy = "Random" },
	} {
		s := good
		change(&s)
		if s.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
