package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/topic"
)

const lookEvery = 200 * time.Millisecond

// settle reads the log until nothing is owed and no consumer is behind, or the time for that is over.
func (h *history) settle(ctx context.Context) error {
	until := h.cfg.Now().Add(h.cfg.Settle)
	for {
		if err := h.read(ctx); err != nil {
			return err
		}
		moving, err := h.moving(ctx)
		if err != nil {
			return err
		}
		h.top.AtRest = moving == ""
		if h.top.AtRest {
			end, err := h.cfg.Log.End(ctx)
			if err != nil {
				return fmt.Errorf("asking where the log ends: %w", err)
			}
			if end <= h.end {
				return nil
			}
			continue // it has moved on meanwhile
		}
		if h.cfg.Stopped || !h.cfg.Now().Before(until) {
			h.top.Movef("%s", moving)
			return nil
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// moving names something that is not at rest; "" if everything is.
func (h *history) moving(ctx context.Context) (string, error) {
	if missing := h.missing(); len(missing) > 0 {
		return fmt.Sprintf("%s has not begun", missing[0]), nil
	}
	for id, i := range h.instances {
		if s := h.standing(i); s.kind == owing {
			return fmt.Sprintf("%s owes %s", id, s.why), nil
		}
	}
	behind, err := h.behind(ctx)
	if err != nil {
		return "", err
	}
	if len(behind) > 0 {
		return behind[0], nil
	}
	return "", h.readIntents(ctx)
}

// behind lists who has not yet come to the end of what was read: relay, read models, sagas, reactors.
func (h *history) behind(ctx context.Context) (out []string, err error) {
	if h.cfg.Pool == nil {
		return nil, nil
	}
	state, err := topic.LoadState(ctx, h.cfg.Pool)
	if err != nil {
		return nil, err
	}
	if state.Position < h.end {
		out = append(out, fmt.Sprintf("the relay is at %d of %d", state.Position, h.end))
	}
	rows, err := h.cfg.Pool.Query(ctx, `
		select 'read model ' || p.projection, c.part, c.position from daybook.projection_pointer p join daybook.projection_progress c on c.build = p.build
		union all select 'saga ' || name, partition, position from daybook.saga_checkpoint
		union all select 'reactor ' || name, partition, position from daybook.reactor_checkpoint`)
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	var (
		who      string
		part     int
		position int64
	)
	_, err = pgx.ForEachRow(rows, []any{&who, &part, &position}, func() error {
		if part < len(h.last) && uint64(position) < h.last[part] { //nolint:gosec // checkpoints are not negative
			out = append(out, fmt.Sprintf("%s is at %d of %d in partition %d", who, position, h.last[part], part))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	return out, nil
}
