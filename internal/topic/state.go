package topic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/checkpoint"
)

// State is how far the relay has come: the one row of daybook.relay. Everything up to Position is in Kafka.
type State struct {
	checkpoint.Origin

	Position uint64
	Last     []uint64 // per partition: the position of its last event up to Position, 0 if it has none
	// CaughtUpAt is the latest store time for which every event recorded before it is at or below Position. It is
	// zero until the relay has relayed or been idle for the first time.
	CaughtUpAt time.Time
}

// Querier is a pgx pool, connection or transaction.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// LoadState reads the relay's row, in q's snapshot. It is the zero State if the relay never ran.
func LoadState(ctx context.Context, q Querier) (State, error) {
	return ScanState(q.QueryRow(ctx, StateSQL))
}

// StateSQL is what ScanState reads the answer of: for those who ask for more in the same breath.
const StateSQL = `select position, last, partitions, incarnation, filter, caught_up_at from daybook.relay`

// ScanState reads the row that StateSQL gives.
func ScanState(row pgx.Row) (State, error) {
	var (
		s        State
		position int64
		last     []int64
		caughtUp *time.Time
	)
	err := row.Scan(&position, &last, &s.Partitions, &s.Incarnation, &s.Filter, &caughtUp)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return State{}, nil
	case err != nil:
		return State{}, fmt.Errorf("reading the relay's checkpoint: %w", err)
	case position < 0 || len(last) != s.Partitions:
		return State{}, fmt.Errorf("the relay's checkpoint is damaged: position %d, %d last positions, %d partitions",
			position, len(last), s.Partitions)
	}
	s.Position = uint64(position)
	s.Last = make([]uint64, len(last))
	for p, at := range last {
		if at < 0 || at > position {
			return State{}, fmt.Errorf("the relay's checkpoint is damaged: position %d, but partition %d is at %d", position, p, at)
		}
		s.Last[p] = uint64(at)
	}
	if caughtUp != nil {
		s.CaughtUpAt = caughtUp.UTC()
	}
	return s, nil
}
