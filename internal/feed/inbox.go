package feed

import (
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/kafkaread"
)

// roomBytes is how much of a partition may be fetched and not taken until no more is fetched.
const roomBytes = 1 << 20

// inbox is what was fetched of a partition and its worker has not taken. It belongs to one generation.
type inbox struct {
	part int
	came chan struct{} // a hint that something has changed
	room chan<- struct{}

	mu     sync.Mutex
	pieces []fetched
	bytes  int
	next   int64 // the offset after what was fetched, or kafka.FirstOffset
	high   int64 // the offset after the partition's last message, as last heard
	leader int   // unknown: noLeader
	err    error // of the last try
	closed bool  // nothing more is taken

	// Of the fetcher alone.
	busy  *flight   // the request that it is in
	heard bool      // it was answered since it last failed
	tries int       // that failed in a row
	again time.Time // when it may be asked for
}

const noLeader = -1

// fetched is a piece with the time at which it was asked for.
type fetched struct {
	kafkaread.Piece

	asked time.Time
}

func newInbox(a kafka.PartitionAssignment, room chan<- struct{}) *inbox {
	return &inbox{part: a.ID, came: make(chan struct{}, 1), room: room, next: a.Offset, leader: noLeader}
}

// taken is what a worker finds.
type taken struct {
	pieces     []fetched
	next, high int64 // as of the inbox, once they are taken
	err        error // why nothing more comes
}

func (in *inbox) take() taken {
	in.mu.Lock()
	t := taken{in.pieces, in.next, in.high, in.err}
	full := in.bytes >= roomBytes
	in.pieces, in.bytes = nil, 0
	in.mu.Unlock()
	if full {
		hint(in.room)
	}
	return t
}

// close takes nothing more.
func (in *inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed, in.pieces, in.bytes = true, nil, 0
}

// put adds a piece, unless the worker reads from elsewhere by now. True says that the partition goes on.
func (in *inbox) put(p kafkaread.Piece, asked time.Time) (progress bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.high, in.err = p.High, nil
	if p.Offset != in.next || in.closed {
		return false
	}
	if p.Size() > 0 {
		in.pieces, in.bytes = append(in.pieces, fetched{p, asked}), in.bytes+p.Size()
	}
	in.next = p.Next
	return p.Next > p.Offset
}

func (in *inbox) fail(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.err, in.leader = err, noLeader
}

// begin reads from the first offset that the partition has.
func (in *inbox) begin() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.next, in.leader = kafka.FirstOffset, noLeader
}

// state says from where to fetch and from whom, whether the partition is worked on, and whether there is room.
func (in *inbox) state() (at kafkaread.Place, leader int, open, room bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return kafkaread.Place{Partition: in.part, Offset: in.next}, in.leader, !in.closed, in.bytes < roomBytes
}

func (in *inbox) locate(leader int, next int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.leader, in.next = leader, next
}

// putOff leaves the partition out for a while.
func (in *inbox) putOff() {
	in.tries++
	in.heard, in.again = false, time.Now().Add(soon.After(in.tries))
}

// hint never waits: one that is there already says the same.
func hint(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
