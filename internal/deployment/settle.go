package deployment

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

// settle appends what next proposes at the revision that it names. Where another process was first, or the outcome is unknown, next looks again. It ends
// when next proposes nothing, or what it proposed is appended.
func settle(ctx context.Context, store es.Store, s es.StreamID, next func() (at es.Expected, p *es.Proposed, err error)) error {
	var last error
	for attempt := range attempts {
		if attempt > 0 {
			if err := betweenAppends.Wait(ctx, attempt); err != nil {
				return err
			}
		}
		at, p, err := next()
		if err != nil || p == nil {
			return err
		}
		_, last = store.Append(ctx, s, at, []es.Proposed{*p})
		switch {
		case last == nil:
			return nil
		case !errors.Is(last, es.ErrWrongRevision) && !errors.Is(last, es.ErrUnknownOutcome):
			return fmt.Errorf("append to %s: %w", s, last)
		}
	}
	return fmt.Errorf("append to %s: %w", s, last)
}

// propose gives an event of a deployment stream.
func propose(c *es.Catalog, s es.StreamID, actor string, e es.Event) (es.Proposed, error) {
	return c.Propose(e, es.Meta{Correlation: s.String(), Actor: es.Actor{ID: actor, Kind: "service"}, OccurredAt: es.Micro(time.Now())})
}
