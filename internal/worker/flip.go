package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/topic"
)

// flip points to every newer build that has come as far as the one it replaces, and counts those that have not yet.
func (w *Worker) flip(ctx context.Context) (left int, err error) {
	newest := map[string]*build{}
	for _, b := range w.builds {
		if have := newest[b.plan.Name]; have == nil || have.plan.Version < b.plan.Version {
			newest[b.plan.Name] = b
		}
	}
	for name, b := range newest {
		done, e := w.flipTo(ctx, b)
		if e != nil { // the others need not wait for it
			err = errors.Join(err, fmt.Errorf("projection %s: %w", name, e))
		}
		if !done {
			left++
		}
	}
	return left, err
}

// flipTo points to b if the pointer names a build of an older version and b has come as far. The groups and both builds'
// own checkpoints are locked meanwhile, so nothing moves.
func (w *Worker) flipTo(ctx context.Context, b *build) (done bool, err error) {
	err = pgx.BeginFunc(ctx, w.cfg.Pool, func(tx pgx.Tx) error {
		var (
			old     int64
			version int
		)
		if err := tx.QueryRow(ctx, `select b.id, b.version from daybook.projection_pointer p join daybook.projection_build b on b.id = p.build
			where p.projection = $1 for update of p`, b.plan.Name).Scan(&old, &version); err != nil {
			return err
		}
		if done = version >= b.plan.Version; done { // a newer program has been here
			return nil
		}
		if _, err := tx.Exec(ctx, `set local lock_timeout = '1s'`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `select from daybook.projection_group order by part for update`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `select from daybook.projection_checkpoint where build in ($1, $2) order by part, build for update`, old, b.id); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `select not exists (select from daybook.projection_progress o join daybook.projection_progress n using (part)
			where o.build = $1 and n.build = $2 and n.position < o.position)`, old, b.id).Scan(&done); err != nil || !done {
			return err
		}
		w.log.Info("a new build serves", "projection", b.plan.Name, "version", b.plan.Version, "build", b.id, "instead of", old)
		_, err := tx.Exec(ctx, `with moved as (update daybook.projection_pointer set build = $2, flipped_at = now() where projection = $1)
			select pg_notify($3, '')`, b.plan.Name, b.id, topic.Moved)
		return err
	})
	return done, err
}
