package esclient

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"

	"github.com/daybook-dev/daybook/kit/es"
)

// breaking is a stream that fails after some messages.
type breaking struct {
	grpc.ClientStream

	left int
}

func (b *breaking) SendMsg(any) error {
	if b.left--; b.left < 0 {
		return io.EOF
	}
	return nil
}

// What a failing stream took may have been written, and goes out first on the next one; what it did not take was not.
func TestStreamBreaksWhileSending(t *testing.T) {
	p := newPipe(semaphore.NewWeighted(1 << 20))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls []*call
	for range 5 {
		c := &call{stream: "s-1", at: es.NoStream, bodies: [][]byte{{}}, deadline: time.Now().Add(time.Minute), outcome: make(chan outcome, 1)}
		if err := p.submit(c); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, c)
	}
	p.begin()
	if err := p.send(ctx, &breaking{left: 2}); err != nil {
		t.Fatal(err)
	}
	p.reset(nil)
	for i, c := range calls {
		if want := min(1, max(0, 3-i)); c.unknown != want || c.over || c.flying {
			t.Errorf("call %d: %d copies may have been written, want %d; over %v", i, c.unknown, want, c.over)
		}
	}
	if len(p.queue) != len(calls) {
		t.Fatalf("%d calls are queued", len(p.queue))
	}
	for i, c := range p.queue {
		if c != calls[i] {
			t.Errorf("call %d is not in its place", i)
		}
	}
	cancel()
	p.begin()
	if err := p.send(ctx, &breaking{left: 100}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	p.close(errClosed)
	for i, c := range calls {
		if o := <-c.outcome; !errors.Is(o.err, es.ErrUnknownOutcome) {
			t.Errorf("call %d: %v", i, o.err)
		}
	}
}

// Callers who leave take what was never sent with them, and its room.
func TestCallersLeaveTheQueue(t *testing.T) {
	const room = 1000
	p := newPipe(semaphore.NewWeighted(room))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 500 {
		c := &call{stream: "s-1", bytes: 100, deadline: time.Now().Add(time.Minute), outcome: make(chan outcome, 1)}
		if err := p.room.Acquire(t.Context(), c.bytes); err != nil {
			t.Fatal(err)
		}
		if err := p.submit(c); err != nil {
			t.Fatal(err)
		}
		if o, _ := c.wait(ended, p); !errors.Is(o.err, es.ErrUnavailable) || !errors.Is(o.err, context.Canceled) {
			t.Fatalf("%v", o.err)
		}
	}
	if !p.room.TryAcquire(room) {
		t.Error("room is lost")
	}
	if len(p.queue) > 100 {
		t.Errorf("%d abandoned calls are queued", len(p.queue))
	}
}
