package checkpoint

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Position is how far one read model, saga or reactor has come in one partition.
type Position struct {
	Name      string
	Partition int
	At        uint64
}

// positionsSQL of read models is of the builds that serve.
var positionsSQL = map[Kind]string{
	ReadModel: `select p.projection, c.part, c.position from daybook.projection_pointer p join daybook.projection_progress c on c.build = p.build
		where p.projection = any($1) order by 1, 2`,
	Saga:    `select name, partition, position from daybook.saga_checkpoint where name = any($1) order by 1, 2`,
	Reactor: `select name, partition, position from daybook.reactor_checkpoint where name = any($1) order by 1, 2`,
}

// Positions gives the checkpoints of read models, sagas or reactors, by name and partition. One that has not been made yet
// is missing.
func Positions(ctx context.Context, q Querier, kind Kind, names []string) ([]Position, error) {
	rows, err := q.Query(ctx, positionsSQL[kind], names)
	if err != nil {
		return nil, fmt.Errorf("read the checkpoints of each %s: %w", kind, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Position, err error) {
		var at int64
		err = row.Scan(&p.Name, &p.Partition, &at)
		p.At = uint64(at) //nolint:gosec // checkpoints are not negative
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the checkpoints of each %s: %w", kind, err)
	}
	return all, nil
}
