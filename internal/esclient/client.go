package esclient

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/kit/es"
)

// Client is an es.Store and es.Log. It is safe for concurrent use.
type Client struct {
	cfg      Config
	link     *link
	sessions *sessions
	metrics  *metrics
	calls    calls
	stop     context.CancelFunc
	stopped  sync.WaitGroup
}

// Open gives a client that connects by itself, now and after every outage. It fails only if it cannot
// be configured; Ping tells whether the server is there.
func Open(ctx context.Context, cfg Config) (*Client, error) {
	cfg, conf, err := cfg.parsed()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	c := &Client{cfg: cfg, link: newLink(cfg, conf, m), metrics: m, stop: stop}
	c.sessions = newSessions(cfg, conf, m, c.link.connect)
	c.stopped.Go(func() { c.link.run(ctx) })
	return c, nil
}

// Close gives up what is under way: appends in flight end with es.ErrUnknownOutcome.
func (c *Client) Close() error {
	c.stop()
	c.sessions.close()
	c.stopped.Wait()
	return nil
}

// Ping waits until the server answers.
func (c *Client) Ping(ctx context.Context) error {
	s, err := c.sessions.acquire(ctx)
	if err != nil {
		return err
	}
	s.release()
	return nil
}

const (
	largeAppend = 64 << 10 // bytes; larger ones have a stream to themselves, so that small ones do not wait behind them
	mostAppend  = 16 << 20 // bytes; what servers take is less
)

// Append implements es.Store.
func (c *Client) Append(ctx context.Context, s es.StreamID, at es.Expected, events []es.Proposed) (uint64, error) {
	failpoint.Hit(failpoint.AppendBefore)
	begun := time.Now()
	position, err := c.append(ctx, s.String(), at, events)
	c.metrics.appended(begun, err)
	failpoint.Hit(failpoint.AppendAfter)
	if err == nil && position == 0 {
		position, err = c.positionOf(ctx, s, at, len(events))
	}
	return position, err
}

func (c *Client) append(ctx context.Context, stream string, at es.Expected, events []es.Proposed) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("append to %s: %w: %w", stream, es.ErrUnavailable, err)
	}
	size := 0
	for i := range events {
		size += events[i].Size()
	}
	switch {
	case len(events) == 0:
		return 0, fmt.Errorf("append to %s: no events", stream)
	case at < es.NoStream:
		return 0, fmt.Errorf("append to %s: expected revision %d is none", stream, at)
	case size > mostAppend:
		return 0, fmt.Errorf("append to %s, %d bytes: %w", stream, size, es.ErrTooLarge)
	}
	p := c.link.small
	if size > largeAppend {
		p = c.link.large
	}
	k := c.calls.get(stream, at)
	if deadline, ok := ctx.Deadline(); ok {
		k.deadline = deadline
	} else {
		k.deadline = time.Now().Add(c.cfg.AppendTimeout)
		k.expire(c.cfg.AppendTimeout)
	}
	k.encode(events)
	k.bytes = min(int64(size), int64(c.cfg.InFlight))
	if err := k.acquire(ctx, p); err != nil {
		return 0, k.left(err)
	}
	if err := p.submit(k); err != nil {
		return 0, err
	}
	o, answered := k.wait(ctx, p)
	if answered {
		c.calls.put(k)
	}
	return o.position, o.err
}

// positionOf reads where an append is whose answer did not say so: a repeated one, on some servers.
func (c *Client) positionOf(ctx context.Context, s es.StreamID, at es.Expected, events int) (uint64, error) {
	last := uint64(int64(at) + int64(events)) //nolint:gosec // not negative
	for r, err := range c.Read(ctx, s, last) {
		if err != nil {
			return 0, fmt.Errorf("%w: position of what was appended to %s: %w", es.ErrUnknownOutcome, s, err)
		}
		return r.Position, nil
	}
	return 0, errors.New("append to " + s.String() + " was acknowledged, but is not there")
}
