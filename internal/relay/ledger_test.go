package relay

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// Whatever the order of acknowledgements, the checkpoint is the longest prefix of the log that is acknowledged, and its
// last positions are those of that prefix. What is not relayed is acknowledged with what is before it, and is no last position.
func TestCheckpointNeverSaysMoreThanIsAcknowledged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(t, "partitions")
		l := newLedger(topic.State{Last: make([]uint64, n)}, 1<<30)
		epoch := time.Unix(1000, 0).UTC()
		var log []int // partition of each position from 1; unrelayed: of none
		acked := make([]int, n)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "read") || len(log) == 0 {
				p := rapid.IntRange(unrelayed, n-1).Draw(t, "partition")
				if p == unrelayed {
					log = append(log, p)
					l.pass(es.Record{Position: uint64(len(log)), Created: epoch.Add(time.Duration(len(log)) * time.Second)})
					continue
				}
				want := uint64(len(log) - slices.Index(reversed(log), p))
				if !slices.Contains(log, p) {
					want = 0
				}
				log = append(log, p)
				prev, _ := l.add(es.Record{Position: uint64(len(log)), Created: epoch.Add(time.Duration(len(log)) * time.Second)}, p, 1)
				if prev != want {
					t.Fatalf("ce_prev %d of position %d, want %d", prev, len(log), want)
				}
			} else {
				p := rapid.IntRange(0, n-1).Draw(t, "partition")
				var open []int
				for i, q := range log {
					if q == p && i+1 > acked[p] {
						open = append(open, i+1)
					}
				}
				if len(open) == 0 {
					continue
				}
				acked[p] = open[rapid.IntRange(0, len(open)-1).Draw(t, "up to")]
				l.ack(p, uint64(acked[p]))
			}
			got, position, last := l.checkpoint(), 0, make([]uint64, n)
			for i, p := range log {
				if p != unrelayed && i+1 > acked[p] {
					break
				}
				if position = i + 1; p != unrelayed {
					last[p] = uint64(i + 1)
				}
			}
			inFlight := 0
			for _, p := range log[position:] {
				if p != unrelayed {
					inFlight++
				}
			}
			if got.Position != uint64(position) || !slices.Equal(got.Last, last) {
				t.Fatalf("checkpoint %+v, want position %d, last %v", got, position, last)
			}
			if position > 0 && !got.CaughtUpAt.Equal(epoch.Add(time.Duration(position)*time.Second)) {
				t.Fatalf("caught up at %v at position %d", got.CaughtUpAt, position)
			}
			if l.bytes != inFlight {
				t.Fatalf("%d bytes in flight, want %d", l.bytes, inFlight)
			}
			if len(l.flight) > 2*inFlight {
				t.Fatalf("%d records are kept for %d that are not acknowledged", len(l.flight), inFlight)
			}
		}
	})
}

func reversed(s []int) []int { s = slices.Clone(s); slices.Reverse(s); return s }

func TestCaughtUpOnlyWhereTheLogEnds(t *testing.T) {
	t.Parallel()
	l := newLedger(topic.State{Position: 5, Last: []uint64{5}}, 1<<20)
	at := time.Unix(2000, 0)
	if l.caughtUp(6, at); !l.checkpoint().CaughtUpAt.IsZero() {
		t.Error("caught up before the last event was relayed")
	}
	if l.caughtUp(5, at); !l.checkpoint().CaughtUpAt.Equal(at) {
		t.Error("not caught up at the end of the log")
	}
	if l.caughtUp(5, at.Add(-time.Second)); !l.checkpoint().CaughtUpAt.Equal(at) {
		t.Error("went back")
	}
}

// A saga's own event may be the newest of the log for long: the relay has caught up with it all the same, and says so.
func TestCaughtUpWithWhatIsNotRelayed(t *testing.T) {
	t.Parallel()
	l := newLedger(topic.State{Position: 5, Last: []uint64{5}}, 1<<20)
	at := time.Unix(2000, 0)
	l.pass(es.Record{Position: 6, Created: at})
	if got := l.checkpoint(); got.Position != 6 || got.Last[0] != 5 || !got.CaughtUpAt.Equal(at) {
		t.Errorf("after an event that is not relayed: %+v", got)
	}
	select {
	case <-l.moved:
	default:
		t.Error("no signal is given")
	}
	if l.caughtUp(6, at.Add(time.Second)); !l.checkpoint().CaughtUpAt.Equal(at.Add(time.Second)) {
		t.Error("not caught up at the end of the log")
	}
	if prev, _ := l.add(es.Record{Position: 7, Created: at}, 0, 1); prev != 5 {
		t.Errorf("ce_prev %d names an event that is not relayed", prev)
	}
	l.pass(es.Record{Position: 8, Created: at})
	if got := l.checkpoint(); got.Position != 6 {
		t.Errorf("it passes what is not acknowledged: %+v", got)
	}
	l.ack(0, 7)
	if got := l.checkpoint(); got.Position != 8 || got.Last[0] != 7 {
		t.Errorf("after the acknowledgement: %+v", got)
	}
}

func TestReadingWaitsForRoom(t *testing.T) {
	t.Parallel()
	l := newLedger(topic.State{Last: []uint64{0}}, 10)
	add := func(position uint64) <-chan bool {
		done := make(chan bool, 1)
		go func() { _, ok := l.add(es.Record{Position: position}, 0, 7); done <- ok }()
		return done
	}
	if !<-add(1) {
		t.Fatal("no room in an empty ledger")
	}
	second := add(2)
	select {
	case <-second:
		t.Fatal("14 bytes found room in 10")
	case <-time.After(20 * time.Millisecond):
	}
	l.ack(0, 1)
	if !<-second {
		t.Fatal("room was not given back")
	}
	third := add(3)
	l.close()
	if <-third {
		t.Fatal("a closed ledger took a record")
	}
}

func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	q := newQueue()
	for _, size := range []int{400, 400, 400, 5000, 1} {
		q.push(link{size: size})
	}
	for _, want := range []int{2, 1, 1, 1} { // the large one alone
		got, err := q.take(t.Context(), 1000)
		if err != nil || len(got) != want {
			t.Fatalf("took %d (%v), want %d", len(got), err, want)
		}
	}
}

// sizeOf must never be less than what a message takes on the wire, or a batch could grow past its bound.
func TestSizeIsNeverTooSmall(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rec := es.Record{ID: es.CommandID("a", "b", "c", "d"), Created: time.Now(), Data: []byte(`{"a":1}`), Meta: []byte(`{"schema":2}`)}
		rec.Stream = es.StreamID{Category: rapid.StringMatching(`[a-z]{1,40}`).Draw(t, "category"), Key: rapid.StringN(0, 200, -1).Draw(t, "key"), N: 1 << 30}
		rec.Type = rapid.StringMatching(`[a-z]{1,60}\.[a-z]{1,60}`).Draw(t, "type")
		rec.Position, rec.Revision = ^uint64(0), ^uint64(0)
		m := topic.Encode(rec, rec.Position-1, "7d793037-a076-4b4a-8b1c-aaaaaaaaaaaa", nil)
		wire := 5*5 + len(m.Key) + len(m.Value) // lengths and deltas as varints
		for _, h := range m.Headers {
			wire += 2*3 + len(h.Key) + len(h.Value)
		}
		if got := sizeOf(rec); got < wire {
			t.Fatalf("counted %d bytes for a message of %d", got, wire)
		}
	})
}
