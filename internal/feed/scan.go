package feed

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// gather is how long a pass waits for others that want to read the log too.
const gather = 10 * time.Millisecond

// Scan is what the feeds of a process share. It reads the log for all of their partitions: those that ask at about the same time share one
// pass, from the lowest of their positions.
type Scan struct {
	log        es.Log
	partitions int
	opened     opened

	mu      sync.Mutex
	waiting []*request // for the pass about to begin
}

// NewScan makes what the feeds of a process share.
func NewScan(log es.Log, partitions int) *Scan {
	return &Scan{log: log, partitions: partitions, opened: opened{parts: map[int]*[openedBatches]openedBatch{}}}
}

// request asks for a partition's events in (after, upto].
type request struct {
	part        int
	after, upto uint64
	chunks      chan []es.Record // closed at the end of the pass
	err         error            // once chunks is closed
	gone        chan struct{}    // closed by leave, when the reader leaves or is left behind
	leave       func()
	chunk       []es.Record
	bytes       int
}

func (r *request) left() bool {
	select {
	case <-r.gone:
		return true
	default:
		return false
	}
}

// lingers is how long a pass waits for one of its readers. One that takes longer is left behind, and reads the rest by another pass.
const lingers = 2 * time.Second

// ErrLeft says that the reader left the pass before its end, or was left behind: what is missing is read by another one.
var ErrLeft = errors.New("left before the end")

// Read gives a partition's events in (after, upto] to take, chunk by chunk, until there are none or take returns false.
// release, which take may call, tells the pass not to wait for this reader any longer: this is then its last chunk. A nil error does not mean that the event at upto was there.
func (s *Scan) Read(ctx context.Context, part int, after, upto uint64, take func(events []es.Record, release func()) bool) error {
	r := &request{part: part, after: after, upto: upto, chunks: make(chan []es.Record, 1), gone: make(chan struct{})}
	r.leave = sync.OnceFunc(func() { close(r.gone) })
	defer r.leave()
	s.mu.Lock()
	s.waiting = append(s.waiting, r)
	if len(s.waiting) == 1 {
		go s.pass() //nolint:gosec,contextcheck // it lasts as long as any of its readers, whichever came first
	}
	s.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return ErrLeft
		case events, ok := <-r.chunks:
			if !ok && r.left() {
				return ErrLeft
			}
			if !ok {
				return r.err
			}
			if !take(events, r.leave) || r.left() {
				return ErrLeft // what the pass has offered since may have holes
			}
		}
	}
}

// pass reads the log once for all who wait. It lasts as long as one of them is there.
func (s *Scan) pass() {
	time.Sleep(gather)
	s.mu.Lock()
	requests := s.waiting
	s.waiting = nil
	s.mu.Unlock()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := pass{open: make([][]*request, s.partitions), left: len(requests)}
	from := requests[0].after
	for _, r := range requests {
		from = min(from, r.after)
		p.open[r.part] = append(p.open[r.part], r)
	}
	go func() { // the last one out ends the reading
		defer cancel()
		for _, r := range requests {
			select {
			case <-r.gone:
			case <-ctx.Done():
			}
		}
	}()
	p.next = p.nearest()
	for rec, err := range s.log.ReadAll(ctx, from) {
		if err != nil {
			p.finish(func(*request) bool { return true }, err)
			return
		}
		part := topic.PartitionOf(rec.Stream.Partition(), s.partitions)
		if rec.Relayed() {
			for _, r := range p.open[part] {
				r.offer(rec)
			}
		}
		if rec.Position >= p.next {
			p.finish(func(r *request) bool { return r.upto <= rec.Position }, nil)
			if p.left == 0 {
				return
			}
		}
	}
	p.finish(func(*request) bool { return true }, nil) // the log ends here
}

// pass is one reading of the log.
type pass struct {
	open [][]*request // by partition
	left int
	next uint64 // the lowest position at which one of them ends
}

func (p *pass) nearest() uint64 {
	next := ^uint64(0)
	for _, rs := range p.open {
		for _, r := range rs {
			next = min(next, r.upto)
		}
	}
	return next
}

// finish ends the requests for which done holds.
func (p *pass) finish(done func(*request) bool, err error) {
	for part, rs := range p.open {
		var keep []*request
		for _, r := range rs {
			if !done(r) {
				keep = append(keep, r)
				continue
			}
			r.flush()
			r.err = err
			close(r.chunks)
			p.left--
		}
		p.open[part] = keep
	}
	p.next = p.nearest()
}

func (r *request) offer(rec es.Record) {
	if rec.Position <= r.after || rec.Position > r.upto {
		return
	}
	r.chunk = append(r.chunk, rec)
	r.bytes += len(rec.Data) + len(rec.Meta)
	if len(r.chunk) == chunkEvents || r.bytes >= chunkBytes {
		r.flush()
	}
}

// flush hands over the chunk. It waits a while for its reader, unless that has left.
func (r *request) flush() {
	if len(r.chunk) > 0 && !r.left() {
		late := time.NewTimer(lingers)
		select {
		case r.chunks <- r.chunk:
		case <-r.gone:
		case <-late.C:
			r.leave()
		}
		late.Stop()
	}
	r.chunk, r.bytes = nil, 0
}
