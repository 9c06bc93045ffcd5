package runtime

import (
	"context"

	"github.com/daybook-dev/daybook/internal/recovery"
	"github.com/daybook-dev/daybook/kit/es"
)

// Loss is what the event store lacks of what was acknowledged, as far as Kafka and Postgres still know.
type Loss struct {
	After  uint64      // the last position that they have in common
	Events []es.Record // after it, that the topic still holds, by position
	// Rows asks every build of a read model and calls each with a row in into. {name} in sql, the read model's name, is the build's table.
	Rows func(ctx context.Context, readModel, sql string, args, into []any, each func() error) error
}

// Amends is what a domain does about a loss, before what is known of it is forgotten. The system does not run.
type Amends struct {
	Losses any      // kept in the recovery's file, as JSON
	Lost   []string // the same for people, a line each
	Steps  []string // what Do does, for people
	Do     func(context.Context, *es.Handler) error
}

func (s *System) amends(ctx context.Context, ask recovery.Config, p *recovery.Plan) (Amends, error) {
	events, err := recovery.LostEvents(ctx, ask, p)
	if err != nil {
		return Amends{}, err
	}
	return s.domain.Lost(ctx, Loss{After: p.Kept, Events: events, Rows: func(ctx context.Context, readModel, sql string, args, into []any, each func() error) error {
		return recovery.EachRow(ctx, ask, readModel, sql, args, into, each)
	}})
}
