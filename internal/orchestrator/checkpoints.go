package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/feed"
)

// Checkpoints says up to where all sagas have heard each partition. A saga's first row is made here, at the position
// where it was deployed.
func (o *Orchestrator) Checkpoints(ctx context.Context, partitions []int) (map[int]uint64, error) {
	var sagas []string
	var places []int32
	var first []int64
	for _, p := range partitions {
		for _, name := range o.names() {
			sagas, places = append(sagas, name), append(places, int32(p)) //nolint:gosec // small
			first = append(first, int64(o.cfg.First[name]))               //nolint:gosec // below 2^63
		}
	}
	_, err := o.cfg.Pool.Exec(ctx, `
		insert into daybook.saga_checkpoint (saga, partition, position, partitions, incarnation)
		select r.saga, r.partition, r.position, $4, $5 from unnest($1::text[], $2::int[], $3::bigint[]) as r(saga, partition, position)
		order by 1, 2
		on conflict do nothing`, sagas, places, first, o.cfg.Partitions, o.cfg.Incarnation)
	if err != nil {
		return nil, fmt.Errorf("make checkpoints of sagas: %w", err)
	}
	o.mu.Lock()
	before := maps.Clone(o.moves)
	o.mu.Unlock()
	rows, err := o.cfg.Pool.Query(ctx, `
		select saga, partition, position, partitions, incarnation from daybook.saga_checkpoint
		where saga = any($1) and partition = any($2)`, o.names(), places)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints of sagas: %w", err)
	}
	at := map[int]map[string]uint64{}
	var name, incarnation string
	var partition, of int
	var position int64
	_, err = pgx.ForEachRow(rows, []any{&name, &partition, &position, &of, &incarnation}, func() error {
		switch {
		case of != o.cfg.Partitions:
			return fmt.Errorf("saga %s counts %d partitions, the topic has %d: run `daybook recover`", name, of, o.cfg.Partitions)
		case incarnation != o.cfg.Incarnation:
			return fmt.Errorf("saga %s has heard incarnation %q of the event store, this is %q: run `daybook recover`", name, incarnation, o.cfg.Incarnation)
		}
		if at[partition] == nil {
			at[partition] = map[string]uint64{}
		}
		at[partition][name] = uint64(position) //nolint:gosec // written from one
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read checkpoints of sagas: %w", err)
	}
	out := map[int]uint64{}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range partitions {
		if o.moves[p] == before[p] { // else Apply has moved them since they were read
			o.positions[p] = at[p]
		}
		out[p] = lowest(at[p])
	}
	return out, nil
}

func lowest(at map[string]uint64) uint64 {
	least, first := uint64(0), true
	for _, p := range at {
		if first || p < least {
			least, first = p, false
		}
	}
	return least
}

// positionsOf gives the checkpoints of a partition as last read or moved here.
func (o *Orchestrator) positionsOf(partition int, after uint64) (map[string]uint64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.positions[partition]
	if at == nil || lowest(at) != after {
		return nil, feed.ErrFenced
	}
	return maps.Clone(at), nil
}

const moveSQL = `
update daybook.saga_checkpoint c set position = $4
from unnest($1::text[], $2::bigint[]) as r(saga, position)
where c.partition = $3 and c.saga = r.saga and c.position = r.position`

// moveAlone advances checkpoints with which nothing goes. It does not wait for the disk: a database that crashes before
// has older checkpoints, and the same events come again. What moves although another checkpoint stands elsewhere has been
// heard here all the same.
func (o *Orchestrator) moveAlone(ctx context.Context, partition int, at map[string]uint64, last uint64) error {
	names, from := behind(at, last)
	tag, err := o.cfg.Pool.Exec(ctx, `with async as materialized (select set_config('synchronous_commit', 'off', true) as mode)`+
		strings.Replace(moveSQL, "where", ", async where async.mode = 'off' and", 1), names, from, partition, int64(last)) //nolint:gosec // below 2^63
	return moved(partition, tag.RowsAffected(), len(names), err)
}

func behind(at map[string]uint64, last uint64) (names []string, from []int64) {
	for name, p := range at {
		if p < last {
			names, from = append(names, name), append(from, int64(p)) //nolint:gosec // below 2^63
		}
	}
	return names, from
}

func moved(partition int, have int64, want int, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("move checkpoints of sagas in partition %d: %w", partition, err)
	case have != int64(want):
		return fmt.Errorf("sagas in partition %d: %w", partition, feed.ErrFenced)
	}
	return nil
}

// Forget removes what the sagas have heard and what they wait for: both are found again from the first positions on. Inputs that an
// instance holds already change nothing, and effects keep their ids.
func Forget(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `delete from daybook.saga_checkpoint; delete from daybook.saga_instance`)
	return err
}

// Farthest implements feed.Several.
func (o *Orchestrator) Farthest(partition int) (most uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, at := range o.positions[partition] {
		most = max(most, at)
	}
	return most
}
