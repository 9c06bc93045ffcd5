package recovery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// LostEvents gives, by position, the events that the topic still holds and the store does not have: those after the last one that they
// have in common.
func LostEvents(ctx context.Context, cfg Config, p *Plan) ([]es.Record, error) {
	cfg.defaults()
	var mu sync.Mutex
	var partitions int
	lost := map[uint64]es.Record{} // a topic may hold an event several times
	err := cfg.eachPartition(ctx, func(s span) error {
		return s.read(ctx, s.first, func(m topic.Message) {
			if m.Record.Position > p.Kept {
				mu.Lock()
				defer mu.Unlock()
				lost[m.Record.Position] = m.Record
			}
		})
	}, &partitions)
	if err != nil {
		return nil, fmt.Errorf("looking on the topic for what the event store has lost: %w", err)
	}
	events := make([]es.Record, 0, len(lost))
	for _, r := range lost {
		events = append(events, r)
	}
	slices.SortFunc(events, func(a, b es.Record) int { return cmp.Compare(a.Position, b.Position) })
	return events, nil
}

// EachRow asks every build of a read model and calls each with a row in into. {name} in sql, the read model's name, is the build's table.
func EachRow(ctx context.Context, cfg Config, readModel, sql string, args, into []any, each func() error) error {
	rows, err := cfg.Pool.Query(ctx, `select schema_name from daybook.projection_build where projection = $1 and to_regclass(format('%I.%I', schema_name, projection)) is not null`, readModel)
	if err != nil {
		return fmt.Errorf("looking for the read model %s: %w", readModel, err)
	}
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("looking for the read model %s: %w", readModel, err)
	}
	for _, schema := range schemas {
		table := pgx.Identifier{schema, readModel}.Sanitize()
		rows, err := cfg.Pool.Query(ctx, strings.ReplaceAll(sql, "{"+readModel+"}", table), args...)
		if err == nil {
			_, err = pgx.ForEachRow(rows, into, each)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", table, err)
		}
	}
	return nil
}
