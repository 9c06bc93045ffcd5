package esclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/kit/es"
)

// source is something of the official client's that gives one item after another.
type source struct {
	next  func() (item, error) // io.EOF at its end
	close func()
}

// opener begins a source on a session.
type opener func(context.Context, *session) (source, error)

type item struct {
	record   es.Record
	position uint64 // without a record: everything up to here has been given
	caughtUp bool
}

type delivered struct {
	item item
	err  error
}

// How many items may wait, of the log and of a stream. Most streams are short, and one is read for nearly every command: the room for 256
// items is 54 KiB.
const (
	aheadOfLog    = 256
	aheadOfStream = 16
)

// pump reads a source in a goroutine of its own and gives its items to each, which returns false to stop.
// The official client can hang without honouring ctx; then it is left behind, with its session.
// stall > 0: a source that gives nothing for that long has failed. ahead is how many items may be read before they are taken.
func (c *Client) pump(ctx context.Context, stall time.Duration, ahead int, open opener, each func(item) bool) error {
	s, err := c.sessions.acquire(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := make(chan delivered, ahead)
	go func() {
		defer s.release()
		run(ctx, s, open, out)
	}()
	err = drain(ctx, stall, out, each)
	if err != nil && !errors.Is(err, errStopped) && ctx.Err() == nil && broken(err) {
		s.retire()
		if unavailable(err) {
			err = fmt.Errorf("%w: %w", es.ErrUnavailable, err)
		}
	}
	return err
}

func run(ctx context.Context, s *session, open opener, out chan<- delivered) {
	give := func(d delivered) bool {
		select {
		case out <- d:
			return d.err == nil
		case <-ctx.Done():
			return false
		}
	}
	defer func() {
		if p := recover(); p != nil { // a message that the official client does not know
			give(delivered{err: fmt.Errorf("event store client panicked: %v", p)})
		}
	}()
	src, err := open(ctx, s)
	if err != nil {
		give(delivered{err: err})
		return
	}
	defer src.close()
	for {
		i, err := src.next()
		if !give(delivered{i, err}) {
			return
		}
	}
}

var errSilent = fmt.Errorf("%w: the server gives no answer", es.ErrUnavailable)

func drain(ctx context.Context, stall time.Duration, out <-chan delivered, each func(item) bool) error {
	var timer *time.Timer
	var stalled <-chan time.Time
	if stall > 0 {
		timer = time.NewTimer(stall)
		defer timer.Stop()
		stalled = timer.C
	}
	for {
		var d delivered
		select {
		case d = <-out: // without looking at the clock
		default:
			if timer != nil {
				timer.Reset(stall)
			}
			select {
			case d = <-out:
			case <-stalled:
				return errSilent
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		switch {
		case errors.Is(d.err, io.EOF):
			return nil
		case d.err != nil && ctx.Err() != nil:
			return ctx.Err()
		case d.err != nil:
			return d.err
		case ctx.Err() != nil:
			return ctx.Err()
		case !each(d.item):
			return errStopped
		}
	}
}

// errStopped says that the reader wants no more.
var errStopped = errors.New("stopped")

func record(e *esdb.RecordedEvent) es.Record {
	return es.Record{
		ID: es.UUID(e.EventID), Stream: es.AnyStreamID(e.StreamID), Revision: e.EventNumber, Position: e.Position.Commit,
		Created: es.Micro(e.CreatedDate), Type: e.EventType, Data: e.Data, Meta: e.UserMetadata,
	}
}
