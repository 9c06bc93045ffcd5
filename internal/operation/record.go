package operation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/kit/es"
)

const attempts = 8

var betweenAppends = backoff.Policy{First: 20 * time.Millisecond, Most: time.Second}

// Record appends an operation on what failed at an event of a stream, and gives its position. The same id again is the same operation.
func Record(ctx context.Context, store es.Store, c *es.Catalog, failed es.StreamID, id es.UUID, e es.Event) (position uint64, err error) {
	s := Stream(failed)
	p, err := c.Propose(e, es.Meta{Correlation: s.String(), Actor: es.Actor{ID: "admin", Kind: "operator"}, OccurredAt: es.Micro(time.Now())})
	if err != nil {
		return 0, fmt.Errorf("record an operation: %w", err)
	}
	p.ID = id
	for attempt := range attempts {
		if attempt > 0 {
			if err := betweenAppends.Wait(ctx, attempt); err != nil {
				return 0, fmt.Errorf("record an operation in %s: %w", s, err)
			}
		}
		at, done, err := recorded(ctx, store, s, id)
		if err != nil || done > 0 {
			return done, err
		}
		position, err = store.Append(ctx, s, at, []es.Proposed{p})
		if err == nil {
			return position, nil
		}
		if !errors.Is(err, es.ErrWrongRevision) && !errors.Is(err, es.ErrUnknownOutcome) || attempt == attempts-1 {
			return 0, fmt.Errorf("record an operation in %s: %w", s, err)
		}
	}
	return 0, nil
}

// recorded is where a stream ends, and the position at which it has an id; 0: it has not.
func recorded(ctx context.Context, store es.Store, s es.StreamID, id es.UUID) (end es.Expected, position uint64, err error) {
	end = es.NoStream
	for r, err := range store.Read(ctx, s, 0) {
		if err != nil {
			return 0, 0, fmt.Errorf("read %s: %w", s, err)
		}
		if r.ID == id {
			return 0, r.Position, nil
		}
		end = es.Expected(r.Revision) //nolint:gosec // revisions stay below 2^63
	}
	return end, 0, nil
}
