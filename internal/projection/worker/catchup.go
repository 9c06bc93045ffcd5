package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/relay"
)

// joinEvents is how far apart in the log builds may be for the one behind to join while the others wait for it.
const joinEvents = 20_000

// catchUp brings the builds that are behind in a partition to where the first one is. The others are fed meanwhile.
func (w *Worker) catchUp(ctx context.Context, partition int) error {
	for {
		at, err := w.positions(ctx, w.writers, partition)
		if err != nil {
			return err
		}
		lead, from, behind := w.split(at)
		if len(behind) == 0 {
			return nil
		}
		w.log.Info("builds are behind: reading the event store", "partition", partition, "builds", len(behind), "after", from, "upto", lead)
		var failed error
		err = w.scan.Read(ctx, partition, from, lead, func(records []es.Record, _ func()) bool {
			failed = w.follow(ctx, partition, behind, at, records)
			return failed == nil
		})
		if failed != nil {
			err = failed
		}
		if err == nil {
			err = w.join(ctx, partition)
		}
		if err != nil && !errors.Is(err, errFar) {
			return err
		}
	}
}

// split says where the first builds are, which are behind, and where the last of these is.
func (w *Worker) split(at map[int64]uint64) (lead, from uint64, behind []*build) {
	from = ^uint64(0)
	for _, a := range at {
		lead, from = max(lead, a), min(from, a)
	}
	for _, b := range w.builds {
		if at[b.id] < lead {
			behind = append(behind, b)
		}
	}
	return lead, from, behind
}

// querier is a connection, or a pool of them.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// positions reads where the builds' checkpoints stand in a partition.
func (w *Worker) positions(ctx context.Context, from querier, partition int) (map[int64]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	at, err := scanPositions(from.Query(ctx, `select build, position from daybook.projection_checkpoint where build = any($1) and part = $2`, w.ids, partition))
	if err != nil {
		return nil, fmt.Errorf("reading the projections' checkpoints: %w", err)
	}
	return at, nil
}

func scanPositions(rows pgx.Rows, err error) (map[int64]uint64, error) {
	if err != nil {
		return nil, err
	}
	at := map[int64]uint64{}
	var build, position int64
	_, err = pgx.ForEachRow(rows, []any{&build, &position}, func() error {
		at[build] = uint64(position) //nolint:gosec // checkpoints are not negative
		return nil
	})
	return at, err
}

// follow feeds a chunk of the log to builds that are behind, from where they are, and notes where they are then.
func (w *Worker) follow(ctx context.Context, partition int, behind []*build, at map[int64]uint64, records []es.Record) error {
	s := &share{partition: partition, records: records, from: map[int64]uint64{}}
	for _, b := range behind {
		if at[b.id] < s.last().Position {
			s.from[b.id] = at[b.id]
		}
	}
	if len(s.from) == 0 {
		return nil
	}
	var err error
	if s.folds, err = w.touch(partition, behind, records); err != nil {
		return err
	}
	if err := w.transact(ctx, []*share{s}, func(ctx context.Context, t *transaction) error {
		if err := t.advance(ctx, opening()); err != nil {
			return err
		}
		return t.post(ctx)
	}); err != nil {
		return err
	}
	for id := range s.from {
		at[id] = s.last().Position
	}
	return nil
}

// errFar says that the builds behind are too far behind to let the others wait.
var errFar = errors.New("too far behind to join")

// join brings builds that are a little behind to exactly where the others are, who wait meanwhile: their checkpoints are
// locked while the last events are read. From then on one batch feeds all.
func (w *Worker) join(ctx context.Context, partition int) error {
	s := &share{partition: partition, from: map[int64]uint64{}}
	return w.transact(ctx, []*share{s}, func(ctx context.Context, t *transaction) error {
		at, err := t.lock(ctx, w.ids, partition)
		if err != nil {
			return err
		}
		lead, from, behind := w.split(at)
		if len(behind) == 0 {
			_, err := t.conn.Exec(ctx, "rollback")
			return err
		}
		for _, b := range behind {
			s.from[b.id] = at[b.id]
		}
		if s.records, err = w.between(ctx, partition, from, lead); err != nil {
			return err
		}
		if s.folds, err = w.touch(partition, behind, s.records); err != nil {
			return err
		}
		if err := t.advance(ctx, &pgx.Batch{}); err != nil {
			return err
		}
		return t.post(ctx)
	})
}

// between reads a partition's few events in (from, upto] from the log.
func (w *Worker) between(ctx context.Context, partition int, from, upto uint64) (records []es.Record, err error) {
	read := 0
	for rec, err := range w.cfg.Log.ReadAll(ctx, from) {
		switch read++; {
		case err != nil:
			return nil, fmt.Errorf("reading the event store after %d: %w", from, err)
		case read > joinEvents:
			return nil, errFar
		case relay.PartitionOf(rec.Stream.Partition(), w.cfg.Partitions) == partition && rec.Position <= upto:
			records = append(records, rec)
		}
		if rec.Position >= upto {
			break
		}
	}
	if n := len(records); n == 0 || records[n-1].Position != upto {
		return nil, fmt.Errorf("the event store does not have event %d of partition %d, which has been applied", upto, partition)
	}
	return records, nil
}
