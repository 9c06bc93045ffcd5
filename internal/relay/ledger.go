package relay

import (
	"sync"
	"time"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// ledger knows what was read, what Kafka has acknowledged, and up to where nothing is missing.
type ledger struct {
	mu     sync.Mutex
	read   []uint64    // per partition: last position read, where the chain of ce_prev goes on
	acked  []uint64    // per partition: last position acknowledged
	flight []entry     // read, in the log's order, from the first one that is not acknowledged
	done   topic.State // everything up to here is acknowledged
	end    uint64      // last position read
	bytes  int         // of what is in flight
	roomy  *sync.Cond
	limit  int
	closed bool
	moved  chan struct{} // has one value when done moved since it was last taken
}

type entry struct {
	position  uint64
	created   time.Time
	partition int // unrelayed: of none
	size      int
}

const unrelayed = -1

func newLedger(from topic.State, limit int) *ledger {
	l := &ledger{done: from, end: from.Position, limit: limit, moved: make(chan struct{}, 1)}
	l.done.Last = append([]uint64(nil), from.Last...)
	l.read = append([]uint64(nil), from.Last...)
	l.acked = append([]uint64(nil), from.Last...)
	l.roomy = sync.NewCond(&l.mu)
	return l
}

// add notes that a record was read and gives its ce_prev. It waits while too much is in flight; false: closed.
func (l *ledger) add(rec es.Record, partition, size int) (prev uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.bytes > 0 && l.bytes+size > l.limit && !l.closed {
		l.roomy.Wait()
	}
	if l.closed {
		return 0, false
	}
	prev = l.read[partition]
	l.read[partition], l.end = rec.Position, rec.Position
	l.flight = append(l.flight, entry{rec.Position, rec.Created, partition, size})
	l.bytes += size
	return prev, true
}

// ack notes that Kafka has everything of a partition up to a position.
func (l *ledger) ack(partition int, position uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[partition] = position
	l.advance()
}

// pass notes that a record was read which is not relayed. The position passes it with what is before it.
func (l *ledger) pass(rec es.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = rec.Position
	passed := entry{rec.Position, rec.Created, unrelayed, 0}
	if n := len(l.flight); n > 0 && l.flight[n-1].partition == unrelayed {
		l.flight[n-1] = passed
		return
	}
	l.flight = append(l.flight, passed)
	l.advance()
}

// advance moves what is done up to the first record that is not acknowledged. The caller holds l.mu.
func (l *ledger) advance() {
	n := 0
	for ; n < len(l.flight); n++ {
		e := l.flight[n]
		if e.partition != unrelayed {
			if e.position > l.acked[e.partition] {
				break
			}
			l.done.Last[e.partition] = e.position
		}
		l.done.Position = e.position
		if e.created.After(l.done.CaughtUpAt) { // recorded times never go back: what is before this one is all here
			l.done.CaughtUpAt = e.created
		}
		l.bytes -= e.size
	}
	if n == 0 {
		return
	}
	if l.flight = l.flight[n:]; len(l.flight) == 0 {
		l.flight = nil // let the array go
	}
	l.roomy.Broadcast()
	l.tell()
}

// caughtUp notes that the log ended at end when it was at on the store's clock.
func (l *ledger) caughtUp(end uint64, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if end <= l.done.Position && at.After(l.done.CaughtUpAt) {
		l.done.CaughtUpAt = at
		l.tell()
	}
}

// checkpoint is what may be said to stand in Kafka.
func (l *ledger) checkpoint() topic.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.done
	s.Last = append([]uint64(nil), s.Last...)
	return s
}

// oldest is when the oldest event that is not acknowledged was recorded; zero if none is.
func (l *ledger) oldest() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.flight) == 0 {
		return time.Time{}
	}
	return l.flight[0].created
}

// seen is the last position read.
func (l *ledger) seen() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.roomy.Broadcast()
}

func (l *ledger) tell() {
	select {
	case l.moved <- struct{}{}:
	default:
	}
}
