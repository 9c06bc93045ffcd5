package worker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/feed"
)

// group is what the builds of a partition have in common: the members at an epoch. It is never changed, only replaced.
type group struct {
	epoch   int64
	members []*build // by id
}

func (g group) has(b *build) bool { return slices.Contains(g.members, b) }

func (g group) without(b *build) group {
	g.members = slices.DeleteFunc(slices.Clone(g.members), func(m *build) bool { return m == b })
	return g
}

// regroup reads where the groups of partitions stand and who belongs to them. Members that this program cannot feed are put out
// first, each with a checkpoint of its own.
func (w *Worker) regroup(ctx context.Context, partitions []int) (at map[int]uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for range 3 {
		var foreign bool
		if at, foreign, err = w.readGroups(ctx, partitions); err != nil || !foreign {
			break
		}
		if err = w.putOut(ctx, partitions); err != nil {
			break
		}
	}
	if err == nil && len(at) != len(partitions) {
		err = fmt.Errorf("of %d partitions only %d have a checkpoint", len(partitions), len(at))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the projections' checkpoints: %w", err)
	}
	return at, nil
}

func (w *Worker) readGroups(ctx context.Context, partitions []int) (at map[int]uint64, foreign bool, err error) {
	rows, err := w.writers.Query(ctx, `select g.part, g.position, g.epoch, array(select build from daybook.projection_progress p
		where p.part = g.part and not p.apart) from daybook.projection_group g where g.part = any($1)`, partitions)
	if err != nil {
		return nil, false, err
	}
	var (
		part            int
		position, epoch int64
		members         []int64
	)
	at = make(map[int]uint64, len(partitions))
	_, err = pgx.ForEachRow(rows, []any{&part, &position, &epoch, &members}, func() error {
		at[part] = uint64(position) //nolint:gosec // checkpoints are not negative
		g := group{epoch: epoch}
		for _, b := range w.builds {
			if slices.Contains(members, b.id) {
				g.members = append(g.members, b)
			}
		}
		foreign = foreign || len(g.members) < len(members)
		w.regrouped(part, g)
		return nil
	})
	return at, foreign, err
}

// putOut gives every member that this program has no code for a checkpoint of its own.
func (w *Worker) putOut(ctx context.Context, partitions []int) error {
	w.log.Info("builds whose code this program does not have are left behind", "partitions", partitions)
	return pgx.BeginFunc(ctx, w.writers, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockGroups, partitions); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `insert into daybook.projection_checkpoint (build, part, position, recorded_at)
			select build, part, position, recorded_at from daybook.projection_progress
			where part = any($1) and build <> all($2) and not apart`, partitions, w.ids); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `update daybook.projection_group set epoch = nextval('daybook.projection_epoch') where part = any($1)`, partitions)
		return err
	})
}

const lockGroups = `select from daybook.projection_group where part = any($1) order by part for update`

// regrouped notes who belongs to a partition's group now, and wakes those that look after the builds that do not.
func (w *Worker) regrouped(partition int, g group) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if have, known := w.groups[partition]; known && have.epoch > g.epoch {
		return
	}
	w.groups[partition] = g
	w.wake(partition)
}

// wake must be called with w.mu held.
func (w *Worker) wake(partition int) {
	if c := w.wakes[partition]; c != nil {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// groupOf is what is known of a partition's group. It may be out of date: the checkpoint's compare-and-set tells.
func (w *Worker) groupOf(ctx context.Context, partition int) (group, error) {
	w.mu.Lock()
	g, ok := w.groups[partition]
	w.mu.Unlock()
	if ok {
		return g, nil
	}
	if _, err := w.regroup(ctx, []int{partition}); err != nil {
		return group{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.groups[partition], nil
}

// queueMoves moves the checkpoints of all shares' groups from where they are said to stand, in an order that all transactions
// share: with nothing but nested loops allowed, that of the arrays. Builds that leave keep where the group was.
func (t *transaction) queueMoves(b *pgx.Batch) (statements int) {
	before := b.Len()
	var (
		parts, leftParts      []int
		was, epochs, to, left []int64
		recorded              []time.Time
		changes               []bool
	)
	for _, s := range t.shares {
		last := s.last()
		parts, was, epochs = append(parts, s.partition), append(was, int64(s.after)), append(epochs, s.group.epoch) //nolint:gosec // positions stay below 2^63
		to, recorded = append(to, int64(last.Position)), append(recorded, last.Created)                             //nolint:gosec // likewise
		changes = append(changes, len(s.leaving) > 0)
		for _, l := range s.leaving {
			left, leftParts = append(left, l.id), append(leftParts, s.partition)
		}
	}
	if len(left) > 0 {
		b.Queue(lockGroups, parts)
		b.Queue(`insert into daybook.projection_checkpoint (build, part, position, recorded_at)
			select l.build, l.part, g.position, g.recorded_at from unnest($1::bigint[], $2::int[]) l(build, part)
			join daybook.projection_group g on g.part = l.part on conflict do nothing`, left, leftParts)
	}
	b.Queue(`update daybook.projection_group g set position = moved.upto, recorded_at = greatest(g.recorded_at, moved.recorded),
			epoch = case when moved.changes then nextval('daybook.projection_epoch') else g.epoch end
		from unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::boolean[]) moved(part, was, epoch, upto, recorded, changes)
		where g.part = moved.part and g.position = moved.was and g.epoch = moved.epoch returning g.part, g.epoch`,
		parts, was, epochs, to, recorded, changes)
	return b.Len() - before
}

// takeMoves reads what queueMoves has sent: which groups have moved, and at which epoch they are now.
func (t *transaction) takeMoves(res pgx.BatchResults, statements int) (map[int]int64, error) {
	if err := exec(res, statements-1); err != nil {
		return nil, err
	}
	rows, err := res.Query()
	if err != nil {
		return nil, err
	}
	var (
		part  int
		epoch int64
		moved = map[int]int64{}
	)
	if _, err = pgx.ForEachRow(rows, []any{&part, &epoch}, func() error { moved[part] = epoch; return nil }); err != nil {
		return nil, err
	}
	if len(moved) < len(t.shares) {
		return nil, errMoved
	}
	return moved, nil
}

// settleMoved reads groups anew that were not what they were taken for. It is an error if one is not even where it was.
func (w *Worker) settleMoved(ctx context.Context, shares []*share) error {
	parts := make([]int, len(shares))
	for i, s := range shares {
		parts[i] = s.partition
	}
	at, err := w.regroup(ctx, parts)
	if err != nil {
		return err
	}
	for _, s := range shares {
		if at[s.partition] != s.after {
			return fmt.Errorf("batch after %d, checkpoint %d: %w", s.after, at[s.partition], feed.ErrFenced)
		}
	}
	return nil
}

// apart lists the builds that do not belong to a partition's group.
func (w *Worker) apart(partition int) (apart []*build) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g, known := w.groups[partition]
	if !known {
		return nil
	}
	for _, b := range w.builds {
		if !g.has(b) {
			apart = append(apart, b)
		}
	}
	return apart
}

// Apart tells how many of the worker's builds are fed by themselves in each partition that it knows of, by projection.
func (w *Worker) Apart() map[string]int {
	w.mu.Lock()
	partitions := slices.Collect(maps.Keys(w.groups))
	w.mu.Unlock()
	n := map[string]int{}
	for _, p := range partitions {
		for _, b := range w.apart(p) {
			n[b.plan.Name]++
		}
	}
	return n
}
