package feed_test

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// While the relay does not move, partitions look a fifth as often as else. What it publishes then and Kafka loses is found as before.
func TestPartitionsRestWhileTheRelayDoes(t *testing.T) {
	t.Parallel()
	s, b := newShop(t), newBook()
	s.moved = make(chan struct{}, 1)
	s.record(40)
	s.publish(once)
	s.feed(b)
	b.await(t, s.store)
	for range 2 {
		before := b.looks()
		eventually(t, "a look", func() bool { return b.looks() > before+1 }) // the second began after everything was applied
		began, before := time.Now(), b.looks()
		<-time.After(40 * idle)
		most := partitions * (int(time.Since(began)/(5*idle)) + 1) // they share looks, unless the machine is so busy that they come apart
		if n := b.looks() - before; n > most {
			t.Errorf("%d looks in %s", n, time.Since(began))
		}
		s.record(10)
		s.publish(func(es.Record) int { return 0 })
		s.moved <- struct{}{}
		b.await(t, s.store)
	}
}
