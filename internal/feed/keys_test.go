package feed_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/topic/topictest"
)

// While a key is changed nothing is refused: the new one signs, the old one verifies what it signed. What an old key signed that was
// removed is refused, and read from the event store.
func TestKeysAreChanged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		verifies []byte
		signs    []byte // one after another
		unknown  bool
	}{
		{"before", []byte("a"), []byte("a"), false},
		{"the new one is added", []byte("ab"), []byte("aba"), false},
		{"the new one is first", []byte("ba"), []byte("abab"), false},
		{"the old one is removed", []byte("b"), []byte("b"), false},
		{"the old one was removed too early", []byte("b"), []byte("ab"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, b, registry := newShop(t), newBook(), prometheus.NewRegistry()
			s.metrics, s.keys = registry, topictest.Keys(t, c.verifies...)
			f, _ := s.feed(b)
			for _, signer := range c.signs {
				s.keys = topictest.Keys(t, signer)
				s.record(50)
				s.publish(once)
			}
			b.await(t, s.store)
			eventually(t, "refusals as they must be", func() bool { return (refusals(t, registry)["unknown_key"] > 0) == c.unknown })
			eventually(t, "health", func() bool { return f.Health() == nil })
		})
	}
}
