package esclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
)

// pipe carries calls over one BatchAppend stream after another.
type pipe struct {
	room *semaphore.Weighted // bytes

	mu       sync.Mutex
	epoch    uint64
	sequence uint64
	queue    []*call          // in order of sequence
	dead     int              // calls in queue that are over
	flight   map[uint64]*call // sent in this epoch, not answered
	heard    time.Time        // of the server; or when it last had nothing to answer
	answers  int              // in this epoch
	closed   error            // no more calls
	wake     chan struct{}    // of one: there is something to send
}

func newPipe(room *semaphore.Weighted) *pipe {
	return &pipe{room: room, flight: map[uint64]*call{}, wake: make(chan struct{}, 1)}
}

// submit queues a call whose room has been taken.
func (p *pipe) submit(c *call) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed != nil {
		p.room.Release(c.bytes)
		return c.left(p.closed)
	}
	p.sequence++
	c.sequence = p.sequence
	p.queue = append(p.queue, c)
	p.signal()
	return nil
}

func (p *pipe) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// end settles a call. Its caller may have left.
func (p *pipe) end(c *call, o outcome) {
	if c.over {
		return
	}
	c.over = true
	if o.err != nil {
		c.bodies, c.buffer = nil, nil
	}
	p.room.Release(c.bytes)
	c.outcome <- o
}

// leave gives a call up. What is in flight keeps its room until it is answered or lost.
func (p *pipe) leave(c *call, cause error) outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.over {
		return <-c.outcome
	}
	o := outcome{err: c.left(cause)}
	if c.flying {
		c.deadline = time.Time{} // it is not waited for, and not sent again
		return o
	}
	p.end(c, o)
	if p.dead++; p.dead > 64 && 2*p.dead > len(p.queue) {
		p.queue, p.dead = slices.DeleteFunc(p.queue, func(c *call) bool { return c.over }), 0
	}
	return o
}

// begin opens an epoch.
func (p *pipe) begin() {
	p.mu.Lock()
	p.epoch++
	p.answers = 0
	p.mu.Unlock()
}

// answered tells whether this epoch was good for anything.
func (p *pipe) answered() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answers > 0
}

// send is the stream's only sender. It ends without error when the stream has failed: the receiver learns why.
func (p *pipe) send(ctx context.Context, st grpc.ClientStream) error {
	for {
		p.mu.Lock()
		batch := p.queue
		p.queue, p.dead = nil, 0
		p.mu.Unlock()
		for i, c := range batch {
			for _, f := range p.depart(c) {
				err := st.SendMsg(f)
				if err == nil {
					continue
				}
				p.requeue(batch[i+1:])
				if errors.Is(err, io.EOF) {
					return nil
				}
				return fmt.Errorf("send: %w", err)
			}
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// depart puts a call in flight and gives its frames; none if it is no longer waited for.
func (p *pipe) depart(c *call) []*frame {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	left := c.deadline.Sub(now)
	if c.over {
		return nil
	}
	if left <= 0 {
		p.end(c, outcome{err: c.left(context.DeadlineExceeded)})
		return nil
	}
	if len(p.flight) == 0 {
		p.heard = now
	}
	c.unknown++
	c.sent++
	c.flying = true
	p.flight[c.sequence] = c
	if c.sent > 1 {
		c.head, c.frames = nil, nil // the connection that took the last copy may still hold them
	}
	return c.encoded(p.epoch, left)
}

// requeue takes back what was not sent.
func (p *pipe) requeue(calls []*call) {
	p.mu.Lock()
	p.queue = append(slices.Clone(calls), p.queue...)
	p.mu.Unlock()
}

// receive is the stream's only receiver.
func (p *pipe) receive(st grpc.ClientStream) error {
	var a answer
	for {
		if err := st.RecvMsg(&a); err != nil {
			return err
		}
		p.arrive(&a)
	}
}

func (p *pipe) arrive(a *answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = time.Now()
	c := p.flight[a.sequence]
	if c == nil || a.epoch != p.epoch {
		return
	}
	delete(p.flight, a.sequence)
	p.answers++
	c.flying = false
	c.unknown--
	o := judge(a, c.stream, c.unknown)
	if !errors.Is(o.err, errAgain) {
		p.end(c, o)
		return
	}
	if c.deadline.IsZero() {
		p.end(c, outcome{err: c.left(o.err)})
		return
	}
	time.AfterFunc(againAfter, func() { p.again(c) })
}

// againAfter is how long a server that takes nothing now is left alone with a call.
const againAfter = 50 * time.Millisecond

func (p *pipe) again(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case c.over:
	case p.closed != nil:
		p.end(c, outcome{err: c.left(p.closed)})
	default:
		p.queue = append(p.queue, c)
		p.signal()
	}
}

// stalled tells whether the server owes answers and has given none for a while.
func (p *pipe) stalled(after time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.flight) > 0 && time.Since(p.heard) > after
}

// reset ends an epoch, once sender and receiver have ended: what was in flight is queued again. After a fatal error it is
// not: one of them may be what ends each stream it is sent on.
func (p *pipe) reset(fatal error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.flight {
		c.flying = false
		switch {
		case c.deadline.IsZero(): // its caller has left
			p.end(c, outcome{err: c.left(context.Canceled)})
		case fatal != nil:
			p.end(c, outcome{err: c.left(fatal)})
		default:
			p.queue = append(p.queue, c)
		}
	}
	clear(p.flight)
	slices.SortFunc(p.queue, func(a, b *call) int { return cmp.Compare(a.sequence, b.sequence) })
	if len(p.queue) > 0 {
		p.signal()
	}
}

// close settles everything. Sender and receiver have ended.
func (p *pipe) close(cause error) {
	p.reset(cause)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = cause
	for _, c := range p.queue {
		p.end(c, outcome{err: c.left(cause)})
	}
	p.queue = nil
}
