package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Shows waits until every read model has reached a position.
func (s *System) Shows(ctx context.Context, position uint64) error {
	for _, p := range s.domain.Projections {
		plans, err := plan.Compile(p)
		if err != nil {
			return err
		}
		view, err := s.Reader.View(p)
		if err != nil {
			return err
		}
		if err := shows(ctx, view, position); err != nil {
			return fmt.Errorf("wait for the read model %s: %w", plans[0].Name, err)
		}
	}
	return nil
}

func shows(ctx context.Context, view query.View, position uint64) error {
	for {
		ask := query.Ask{MinPosition: position, Wait: 10 * time.Second}
		_, err := view.Read(ctx, ask, func(context.Context, query.Snapshot) error { return nil })
		if err == nil || ctx.Err() != nil || !errors.Is(err, query.ErrNotYet) && !errors.Is(err, query.ErrRebuilding) {
			return err
		}
	}
}
