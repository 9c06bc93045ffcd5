package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Kind says whose a checkpoint is.
type Kind string

// The owners of checkpoints.
const (
	Relay     Kind = "relay"
	ReadModel Kind = "read model"
	Saga      Kind = "saga"
	Reactor   Kind = "reactor"
)

// Remedy is the command that repairs checkpoints that are ahead of the log.
const Remedy = "run `daybook recover`"

// Ahead is a checkpoint beyond the end of the log.
type Ahead struct {
	Kind      Kind
	Name      string // of the read model, saga or reactor; empty for the relay and the group of read models
	Build     int64  // of a read model; 0 for the group of them, and others
	Partition int    // -1 for the relay, whose checkpoint is of the whole log
	Position  uint64 // where the checkpoint is
	End       uint64 // where the log ends
}

func (a Ahead) String() string {
	owner := string(a.Kind)
	switch a.Kind {
	case Relay:
	case ReadModel:
		if a.Build == 0 {
			owner = fmt.Sprintf("group of read models, partition %d", a.Partition)
			break
		}
		owner = fmt.Sprintf("read model %s (build %d), partition %d", a.Name, a.Build, a.Partition)
	default:
		owner = fmt.Sprintf("%s %s, partition %d", a.Kind, a.Name, a.Partition)
	}
	return fmt.Sprintf("the checkpoint of the %s is at %d, the log ends at %d", owner, int64(a.Position), a.End) //nolint:gosec // as Postgres has it
}

// ErrAhead says that a checkpoint is beyond the end of the log, or would be moved there.
var ErrAhead = errors.New("a checkpoint is ahead of the event store's log")

// Error is nil if none is ahead. Else it names the first, how many there are, and the remedy; it is ErrAhead.
func Error(all []Ahead) error {
	switch len(all) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: %s; %s", ErrAhead, all[0], Remedy)
	}
	return fmt.Errorf("%w: %s, and %d more are ahead; %s", ErrAhead, all[0], len(all)-1, Remedy)
}

// Querier is a pgx pool, connection or transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// beyondSQL finds negative positions too: everywhere else they count as what they are without a sign, which no log reaches. The group of
// read models is named by itself where no read model is in it.
const beyondSQL = `
	select * from (
		select 'relay', '', 0::bigint, -1, position from daybook.relay
		union all select 'read model', b.projection, b.id, c.part, c.position
			from daybook.projection_progress c join daybook.projection_build b on b.id = c.build
		union all select 'read model', '', 0, g.part, g.position from daybook.projection_group g
			where not exists (select from daybook.projection_progress c where c.part = g.part and not c.apart)
		union all select 'saga', name, 0, partition, position from daybook.saga_checkpoint
		union all select 'reactor', name, 0, partition, position from daybook.reactor_checkpoint
	) all_checkpoints (kind, name, build, partition, position)
	where position > $1 or position < 0
	order by 1, 2, 3, 4`

// FindAhead gives every checkpoint of the relay, of read models, sagas and reactors that is beyond the end of the log.
// known is a position that the log is known to have reached, 0 if none is: end is asked only if a checkpoint is beyond
// it, and only after the checkpoints were read, so that one that moves meanwhile is not taken for one ahead.
func FindAhead(ctx context.Context, q Querier, known uint64, end func(context.Context) (uint64, error)) ([]Ahead, error) {
	rows, err := q.Query(ctx, beyondSQL, int64(min(known, 1<<63-1))) //nolint:gosec // capped
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	beyond, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a Ahead, err error) {
		var position int64
		err = row.Scan(&a.Kind, &a.Name, &a.Build, &a.Partition, &position)
		a.Position = uint64(position) //nolint:gosec // beyond every log if it is negative
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	if len(beyond) == 0 {
		return nil, nil
	}
	at, err := end(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking where the log ends: %w", err)
	}
	var ahead []Ahead
	for _, a := range beyond {
		if a.Position > at {
			a.End = at
			ahead = append(ahead, a)
		}
	}
	return ahead, nil
}
