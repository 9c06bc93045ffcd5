package feed

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// Whatever is lost, repeated or comes again from further back, following and healing applies every event once, in order.
func TestFollow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var chain []topic.Message // with positions that have gaps, as a partition of a log has
		prev := uint64(0)
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			at := prev + rapid.Uint64Range(1, 5).Draw(t, "step")
			chain = append(chain, topic.Message{Record: es.Record{Position: at}, Prev: prev})
			prev = at
		}
		var heard []topic.Message
		for i := 0; i < len(chain); i++ {
			switch rapid.IntRange(0, 5).Draw(t, "fate") {
			case 0: // lost
			case 1: // the relay begins again
				heard = append(heard, chain[i])
				i -= min(i, rapid.IntRange(0, 3).Draw(t, "back"))
				if len(heard) > 200 {
					i = len(chain)
				}
			default:
				heard = append(heard, chain[i])
			}
		}
		var at uint64
		var applied []uint64
		take := func(p uint64) {
			if len(applied) > 0 && p <= applied[len(applied)-1] {
				t.Fatalf("%d applied after %d", p, applied[len(applied)-1])
			}
			applied, at = append(applied, p), p
		}
		for rest := heard; len(rest) > 0; {
			events, _, gap, left := follow(at, rest)
			for _, e := range events {
				take(e.Position)
			}
			if gap > 0 {
				for _, m := range chain {
					if m.Record.Position > at && m.Record.Position <= gap {
						take(m.Record.Position)
					}
				}
			}
			if len(left) == len(rest) && gap == 0 {
				t.Fatal("no progress")
			}
			rest = left
		}
		for i, p := range applied { // no holes up to where it came
			if chain[i].Record.Position != p {
				t.Fatalf("event %d is at %d, applied %d", i, chain[i].Record.Position, p)
			}
		}
		if len(heard) > 0 {
			if last := heard[len(heard)-1].Record.Position; at < last {
				t.Fatalf("at %d, heard of %d", at, last)
			}
		}
	})
}
