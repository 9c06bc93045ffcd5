package esclient

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/daybook-dev/daybook/kit/es"
)

// call is one append on its way. Its pipe's mutex guards what changes.
type call struct {
	stream   string
	at       es.Expected
	bodies   [][]byte
	bytes    int64 // that it keeps of the bound
	sequence uint64
	deadline time.Time

	buffer []byte      // of the first body
	head   []byte      // buffer of a frame's head
	frames []*frame    // buffer
	timer  *time.Timer // of a call whose context has no deadline
	timed  bool

	sent    int          // times
	unknown int          // copies sent whose outcome is unknown
	flying  bool         // the last of them in this epoch
	over    bool         // answered, or no longer waited for
	outcome chan outcome // of one
}

type outcome struct {
	position uint64 // 0 without error: it is written, somewhere
	err      error
}

// errAgain says that the server took nothing, and may do so a little later.
var errAgain = errors.New("server takes no appends now")

// judge makes an answer what the caller gets. It is called for a copy that was sent, with the number of
// copies before it that may have been written.
func judge(a *answer, stream string, before int) outcome {
	if a.success {
		return outcome{position: a.position}
	}
	said := fmt.Errorf("append to %s: %s: %s", stream, a.code, a.message)
	switch a.detail {
	case "WrongExpectedVersion":
		// Also the last word about copies sent before: they expected that revision too, and would have been found.
		return outcome{err: fmt.Errorf("append to %s: %w: %s", stream, es.ErrWrongRevision, a.message)}
	case "MaximumAppendSizeExceeded": // so were they
		return outcome{err: fmt.Errorf("append to %s: %w: %s", stream, es.ErrTooLarge, a.message)}
	}
	refused := said
	switch {
	case a.code == codes.Unavailable:
		refused = errAgain
	case a.code == codes.ResourceExhausted: // its disk is full
		refused = fmt.Errorf("%w: %w", es.ErrUnavailable, said)
	case a.detail == "AccessDenied" || a.detail == "StreamDeleted" || a.detail == "BadRequest" ||
		a.code == codes.PermissionDenied || a.code == codes.InvalidArgument || a.code == codes.FailedPrecondition || a.code == codes.Unauthenticated:
	default: // a timeout, an inner error: whatever was meant, it may have been written
		return outcome{err: fmt.Errorf("%w: %w", es.ErrUnknownOutcome, said)}
	}
	if before > 0 && !errors.Is(refused, errAgain) {
		return outcome{err: fmt.Errorf("%w: %w", es.ErrUnknownOutcome, said)}
	}
	return outcome{err: refused}
}

// left is what a caller gets whose call was not answered.
func (c *call) left(cause error) error {
	if c.unknown > 0 {
		return fmt.Errorf("append to %s: %w: %w", c.stream, es.ErrUnknownOutcome, cause)
	}
	return fmt.Errorf("append to %s: %w: %w", c.stream, es.ErrUnavailable, cause)
}

// expire gives a call a deadline that its context does not have.
func (c *call) expire(after time.Duration) {
	c.timed = true
	if c.timer == nil {
		c.timer = time.NewTimer(after)
	} else {
		c.timer.Reset(after)
	}
}

func (c *call) expired() <-chan time.Time {
	if !c.timed {
		return nil
	}
	return c.timer.C
}

// acquire takes the call's room.
func (c *call) acquire(ctx context.Context, p *pipe) error {
	if p.room.TryAcquire(c.bytes) {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, c.deadline)
	defer cancel()
	return p.room.Acquire(ctx, c.bytes)
}

// wait gives the call's outcome, at the latest when ctx ends or the call expires, and tells whether it was an answer.
func (c *call) wait(ctx context.Context, p *pipe) (_ outcome, answered bool) {
	select {
	case o := <-c.outcome:
		return o, true
	case <-ctx.Done():
		return p.leave(c, ctx.Err()), false
	case <-c.expired():
		return p.leave(c, context.DeadlineExceeded), false
	}
}

// calls keeps calls to be used again, with their buffers.
type calls struct{ pool sync.Pool }

func (p *calls) get(stream string, at es.Expected) *call {
	c, _ := p.pool.Get().(*call)
	if c == nil {
		c = &call{outcome: make(chan outcome, 1)}
	}
	c.stream, c.at = stream, at
	return c
}

const keptBuffer = 64 << 10

// put takes back a call that has no other user: it was answered, and sent once. What was sent oftener, or not answered, a
// connection may still hold.
func (p *calls) put(c *call) {
	if c.timed {
		c.timer.Stop()
	}
	if c.sent != 1 || cap(c.buffer) > keptBuffer {
		return
	}
	*c = call{outcome: c.outcome, bodies: c.bodies[:0], buffer: c.buffer, head: c.head, frames: c.frames, timer: c.timer}
	p.pool.Put(c)
}
