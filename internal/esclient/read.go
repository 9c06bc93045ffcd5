package esclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/daybook-dev/daybook/internal/backoff"

	"github.com/daybook-dev/daybook/kit/es"
)

// everything is as many events as a reading can ask for.
const everything = math.MaxInt64

// Read implements es.Store. It goes on after an outage, as long as ctx lives.
func (c *Client) Read(ctx context.Context, s es.StreamID, from uint64) iter.Seq2[es.Record, error] {
	name := s.String()
	return func(yield func(es.Record, error) bool) {
		open := func(ctx context.Context, s *session) (source, error) {
			st, err := s.client.ReadStream(toLeader(ctx), name, esdb.ReadStreamOptions{From: esdb.Revision(from), RequiresLeader: true}, everything)
			return reading(st, err)
		}
		err := c.resume(ctx, c.pumped(open), func(i item) bool {
			from = i.record.Revision + 1
			return yield(i.record, nil)
		})
		if err != nil {
			yield(es.Record{}, fmt.Errorf("read %s from %d: %w", name, from, err))
		}
	}
}

func toLeader(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "requires-leader", "true") // the official client means to, and does not
}

// reading is a source of the events that a reading gives.
func reading(st *esdb.ReadStream, err error) (source, error) {
	if err != nil {
		return source{}, err
	}
	next := func() (item, error) {
		e, err := st.Recv()
		if err != nil {
			if e, ok := errors.AsType[*esdb.Error](err); ok && e.Code() == esdb.ErrorCodeResourceNotFound {
				err = io.EOF // a stream that does not exist has no events
			}
			return item{}, err
		}
		return item{record: record(e.OriginalEvent())}, nil
	}
	return source{next: next, close: st.Close}, nil
}

// pumped reads a source of the official client's, once.
func (c *Client) pumped(open opener) func(context.Context, func(item) bool) error {
	return func(ctx context.Context, each func(item) bool) error {
		return c.pump(ctx, c.cfg.StallAfter, aheadOfStream, open, each)
	}
}

// own reads a source of our own connection, once.
func (c *Client) own(open opener) func(context.Context, func(item) bool) error {
	return func(ctx context.Context, each func(item) bool) error { return c.straight(ctx, open, each) }
}

// resume reads until the source ends, opening it again after each failure that may pass. nil: it ended, or
// each wants no more.
func (c *Client) resume(ctx context.Context, read func(context.Context, func(item) bool) error, each func(item) bool) error {
	again, tries := backoff.Policy{First: 10 * time.Millisecond, Most: time.Second}, 0
	odd := 0 // failures without a good reason
	for {
		progress := false
		err := read(ctx, func(i item) bool {
			progress = true
			return each(i)
		})
		switch {
		case err == nil || errors.Is(err, errStopped):
			return nil
		case ctx.Err() != nil || errors.Is(err, errClosed) || !broken(err):
			return err
		}
		if progress {
			tries, odd = 0, 0
		}
		if !errors.Is(err, es.ErrUnavailable) {
			if odd++; odd > 5 {
				return err
			}
		}
		tries++
		if again.Wait(ctx, tries) != nil {
			return fmt.Errorf("%w: %w: %w", es.ErrUnavailable, ctx.Err(), err)
		}
	}
}

// unavailable tells an outage from an error that only might be one.
func unavailable(err error) bool {
	e, ok := errors.AsType[*esdb.Error](err)
	return status.Code(err) == codes.Unavailable || ok && (e.Code() == esdb.ErrorUnavailable || e.Code() == esdb.ErrorCodeConnectionClosed || e.Code() == esdb.ErrorCodeNotLeader)
}
