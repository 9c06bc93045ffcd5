package feed_test

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/feed"
	"github.com/daybook-dev/daybook/kit/es"
)

func few(e es.Record) bool { return e.Position%7 == 0 }
func none(es.Record) bool  { return false }

// What is held is applied once, in order, before what comes behind it: with losses, repetitions, errors and checkpoints that
// go back.
func TestHeldEventsAreAppliedOnceAndInOrder(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.hold = 20 * time.Millisecond
	rng := rand.New(rand.NewPCG(3, 4))
	tries := 0
	b.fail = func(_ int, _ []es.Record) (before, after error) {
		switch tries++; tries % 20 {
		case 3:
			return errors.New("not now"), nil
		case 5:
			return nil, errors.New("committed, and the answer is lost")
		}
		return nil, nil
	}
	f, _ := s.feed(choosy{b, few})
	eventually(t, "joining the group", func() bool { return f.Health() == nil })
	for range 100 {
		s.record(10)
		s.publish(func(es.Record) int { return rng.IntN(5) })
		if rng.IntN(8) == 0 {
			b.mu.Lock()
			for p, got := range b.got {
				if len(got) > 10 {
					b.got[p], b.at[p] = got[:len(got)-10], got[len(got)-11]
				}
			}
			b.mu.Unlock()
		}
	}
	b.await(t, s.store)
}

// No other event has to come: they are held for a while, together.
func TestHeldEventsAreAppliedInTheEnd(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.hold = 50 * time.Millisecond
	var applied atomic.Int64
	b.fail = func(int, []es.Record) (before, after error) { applied.Add(1); return nil, nil }
	f, _ := s.feed(choosy{b, none})
	eventually(t, "joining the group", func() bool { return f.Health() == nil })
	const events = 300
	for range events {
		s.record(1)
		s.publish(once)
	}
	b.await(t, s.store)
	if n := applied.Load(); n > events/2 {
		t.Errorf("%d events were applied in %d batches", events, n)
	}
}

// Who takes over has everything that was held and not applied.
func TestHeldEventsOfAnEndedFeed(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.hold = time.Minute
	f, stop := s.feed(choosy{b, none})
	eventually(t, "joining the group", func() bool { return f.Health() == nil })
	s.record(50)
	s.publish(once)
	stop()
	s.hold = 0
	s.feed(b)
	b.await(t, s.store)
}

var _ feed.Selective = choosy{}
