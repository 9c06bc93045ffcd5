package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/internal/es"
)

// patience bounds one batch, so that a connection nobody answers on does not hold its partition for ever.
const patience = time.Minute

// Apply implements feed.Consumer. It feeds the builds that are where the batch begins; those behind are catching up.
func (w *Worker) Apply(ctx context.Context, partition int, after uint64, records []es.Record) error {
	begin := time.Now()
	err := w.turns.do(ctx, &share{partition: partition, records: records, after: after, live: true})
	if err == nil {
		w.metrics.seconds.Observe(time.Since(begin).Seconds())
	}
	return err
}

// applyAll writes batches of several partitions in one transaction.
func (w *Worker) applyAll(ctx context.Context, shares []*share) error {
	for _, s := range shares {
		s.from = make(map[int64]uint64, len(w.builds))
		for _, id := range w.ids {
			s.from[id] = s.after
		}
		var err error
		if s.folds, err = w.touch(s.partition, w.builds, s.records); err != nil {
			return err
		}
	}
	return w.transact(ctx, shares, func(ctx context.Context, t *transaction) error {
		if err := t.advance(ctx, opening()); err != nil {
			return err
		}
		return t.post(ctx)
	})
}

// transact runs f over a connection of its own. f begins the transaction; it is ended here if f fails.
func (w *Worker) transact(ctx context.Context, shares []*share, f func(context.Context, *transaction) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := w.writers.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer conn.Release() // which closes one that is inside a transaction
	if err := f(ctx, &transaction{w: w, conn: conn, shares: shares}); err != nil {
		if ctx.Err() == nil {
			_, _ = conn.Exec(ctx, "rollback")
		}
		return fmt.Errorf("writing the projections' rows of partition %d: %w", shares[0].partition, err)
	}
	return nil
}

// touch decodes what some projection reads, and finds out which rows of the builds it changes.
func (w *Worker) touch(partition int, builds []*build, records []es.Record) (folds []*fold, err error) {
	events, err := w.decode(records)
	if err != nil {
		return nil, err
	}
	for _, b := range builds {
		f, err := b.touchAll(partition, events)
		if err != nil {
			return nil, err
		}
		if len(f.touches) > 0 {
			folds = append(folds, f)
		}
	}
	return folds, nil
}

// decode opens what some projection reads.
func (w *Worker) decode(records []es.Record) ([]es.Recorded, error) {
	events := make([]es.Recorded, 0, len(records))
	for _, rec := range records {
		if !w.reads[rec.Type] {
			continue
		}
		e, err := w.cfg.Catalog.Open(rec)
		if err != nil {
			return nil, fmt.Errorf("event at position %d: %w", rec.Position, err)
		}
		events = append(events, e)
	}
	return events, nil
}
