package esclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// straight reads a source of a connection of our own, which honours contexts, in the caller's goroutine: handing each event to
// another one takes as long as decoding it.
func (c *Client) straight(ctx context.Context, open opener, each func(item) bool) error {
	s, err := c.sessions.acquire(ctx)
	if err != nil {
		return err
	}
	defer s.release()
	reading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := newSilence(c.cfg.StallAfter, func() { cancel(errSilent) })
	defer silence.close()
	err = silence.read(reading, s, open, each)
	switch cause := context.Cause(reading); {
	case err == nil || errors.Is(err, errStopped):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(cause, errSilent):
		err = errSilent
	}
	if broken(err) {
		s.retire()
		if unavailable(err) {
			err = fmt.Errorf("%w: %w", es.ErrUnavailable, err)
		}
	}
	return err
}

// silence notices that a source gives nothing for long. It looks now and then: reading takes no look at the clock.
type silence struct {
	waits atomic.Uint64 // odd while the source is waited for
	over  chan struct{}
}

func newSilence(after time.Duration, tell func()) *silence {
	s := &silence{over: make(chan struct{})}
	go func() {
		const looks = 4
		tick := time.NewTicker(max(after/looks, time.Millisecond))
		defer tick.Stop()
		last, same := uint64(0), 0
		for {
			select {
			case <-s.over:
				return
			case <-tick.C:
			}
			if now := s.waits.Load(); now != last || now%2 == 0 {
				last, same = now, 0
			} else if same++; same >= looks {
				tell()
				return
			}
		}
	}()
	return s
}

func (s *silence) close() { close(s.over) }

func (s *silence) read(ctx context.Context, from *session, open opener, each func(item) bool) error {
	s.waits.Add(1)
	src, err := open(ctx, from)
	if err != nil {
		return err
	}
	defer src.close()
	for {
		i, err := src.next()
		s.waits.Add(1)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !each(i):
			return errStopped
		}
		s.waits.Add(1)
	}
}
