package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// Instance is a line of the saga board.
type Instance struct {
	Stream    string        `json:"stream"` // placement-O
	Saga      string        `json:"saga"`
	Key       string        `json:"key"` // the order
	Version   int           `json:"version"`
	Revision  uint64        `json:"revision"` // of its newest event
	Phase     machine.Phase `json:"phase"`
	Step      string        `json:"step,omitempty"`
	Failure   es.Code       `json:"failure,omitempty"` // why it is being, or was, undone
	Stuck     string        `json:"stuck,omitempty"`   // why it cannot go on by itself
	Error     string        `json:"error,omitempty"`   // of the last try
	Waiting   []Waiting     `json:"waiting,omitempty"`
	NextLook  *time.Time    `json:"next_look,omitempty"`
	Until     *time.Time    `json:"reopens_until,omitempty"` // a completed one may be reopened by what is recorded until then
	StartedAt time.Time     `json:"started_at"`
	UpdatedAt time.Time     `json:"updated_at"`
}

// Waiting is something an instance waits for: the answer to a command, or a timer.
type Waiting struct {
	Kind      string       `json:"kind"` // command | reminder | timer
	ID        es.UUID      `json:"id"`   // the command's, the timer's
	Step      string       `json:"step"`
	Item      string       `json:"item,omitempty"`
	Attempt   int          `json:"attempt,omitempty"`
	Direction es.Direction `json:"direction,omitempty"`
	Command   string       `json:"command,omitempty"`
	Stream    string       `json:"stream,omitempty"`
	At        time.Time    `json:"at,omitzero"`        // not before; when the timer is due
	Reminded  int          `json:"reminded,omitempty"` // how often it was, of this wait
}

// Filter of List. Its zero value is every instance that has not ended.
type Filter struct {
	Saga  string // "" = all
	Key   string // of one order; "" = all
	Ended bool   // those too
	Stuck bool   // only those that are
	After string // the last stream of the page before
	Limit int    // 0: 100
}

// Querier is a pgx pool, connection or transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// List gives instances by their streams' names.
func List(ctx context.Context, q Querier, f Filter) ([]Instance, error) {
	rows, err := q.Query(ctx, `
		select instance, saga, key, version, revision, phase, step, failure, stuck, error, waiting, due_at, reopens_until, started_at, updated_at
		from daybook.saga_instance
		where ($1 = '' or saga = $1) and ($2 = '' or key = $2) and ($3 or phase in ('doing', 'undoing') or due_at is not null or stuck <> '')
			and (not $4 or stuck <> '') and instance > $5
		order by instance limit $6`, f.Saga, f.Key, f.Ended, f.Stuck, f.After, orElse(f.Limit, 100))
	return collected(rows, err, "list saga instances", func(row pgx.CollectableRow) (i Instance, err error) {
		var events int64
		var waiting []byte
		err = row.Scan(&i.Stream, &i.Saga, &i.Key, &i.Version, &events, &i.Phase, &i.Step, &i.Failure, &i.Stuck, &i.Error,
			&waiting, &i.NextLook, &i.Until, &i.StartedAt, &i.UpdatedAt)
		if err == nil {
			i.Revision = uint64(max(events, 1) - 1) //nolint:gosec // written from one
			err = json.Unmarshal(waiting, &i.Waiting)
		}
		return i, err
	})
}

// collected gives the rows of a query, or its error with what it was for.
func collected[T any](rows pgx.Rows, err error, what string, row pgx.RowToFunc[T]) ([]T, error) {
	var out []T
	if err == nil {
		out, err = pgx.CollectRows(rows, row)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return out, nil
}

// Need is that a program has a version of a saga.
type Need struct {
	Saga    string
	Version int
	N       int // instances
}

// Needs are the versions of sagas that run, or may be reopened: by events that were recorded in time, also if they were not heard yet.
func Needs(ctx context.Context, q Querier) ([]Need, error) {
	rows, err := q.Query(ctx, `
		select saga, version, count(*) from daybook.saga_instance
		where phase in ('doing', 'undoing')
			or reopens_until > (select coalesce(min(t), now()) from daybook.uptime cross join unnest(caught_up_at) as t)
		group by 1, 2 order by 1, 2`)
	return collected(rows, err, "read which sagas run", pgx.RowToStructByPos[Need])
}

// Count is how many instances of a saga are where.
type Count struct {
	Saga   string
	Phase  machine.Phase
	Stuck  bool
	N      int
	Oldest time.Time // when the oldest of them started
}

// Counts sums up the instances that have not ended, for metrics and boards.
func Counts(ctx context.Context, q Querier) ([]Count, error) {
	rows, err := q.Query(ctx, `
		select saga, phase, stuck <> '', count(*), min(started_at) from daybook.saga_instance
		where phase in ('doing', 'undoing') group by 1, 2, 3 order by 1, 2, 3`)
	return collected(rows, err, "count saga instances", pgx.RowToStructByPos[Count])
}
