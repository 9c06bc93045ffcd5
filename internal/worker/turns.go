package worker

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// turns lets batches of several partitions share transactions: one is under way at a time, and the next takes along all that
// wait. So a quiet system writes each batch at once, and a busy one writes many with one commit. Where one takes long, as behind
// a lock, those who wait go beside it.
type turns struct {
	write func(context.Context, []*share) error

	mu       sync.Mutex
	waiting  []*turn // by since
	lanes    []*lane
	watching bool // for one who waits long
}

// lane is what writes one transaction after another.
type lane struct{ began time.Time }

// turn is a share that waits, or is being written.
type turn struct {
	*share

	ctx   context.Context //nolint:containedctx // of who waits for it
	since time.Time
	done  chan error
}

const (
	turnsAtOnce  = 2
	turnsBeside  = 50 * time.Millisecond // waited for before a second one is begun
	turnsRecords = 2000                  // in one transaction, unless one share alone has more
)

// do writes a share, together with others or alone. Its error is the share's own.
func (q *turns) do(ctx context.Context, s *share) error {
	mine := &turn{share: s, ctx: ctx, since: time.Now(), done: make(chan error, 1)}
	q.mu.Lock()
	q.waiting = append(q.waiting, mine)
	if len(q.lanes) == 0 {
		q.lead()
	} else {
		q.watch()
	}
	q.mu.Unlock()
	select {
	case err := <-mine.done:
		return err
	case <-ctx.Done(): // what becomes of it, its checkpoint tells whoever comes next
		return ctx.Err()
	}
}

// watch begins another turn when the first of those who wait has waited long. The caller holds q.mu.
func (q *turns) watch() {
	if q.watching || len(q.lanes) == turnsAtOnce || len(q.waiting) == 0 {
		return
	}
	q.watching = true
	time.AfterFunc(time.Until(q.waiting[0].since.Add(turnsBeside)), func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.watching = false
		if len(q.waiting) > 0 && len(q.lanes) < turnsAtOnce && time.Since(q.waiting[0].since) >= turnsBeside {
			q.lead()
			return
		}
		q.watch()
	})
}

// lead writes what waits until nothing does, or another one is quick enough for all. The caller holds q.mu.
func (q *turns) lead() {
	mine := &lane{began: time.Now()}
	q.lanes = append(q.lanes, mine)
	go func() {
		for {
			q.mu.Lock()
			var batch []*turn
			if !slices.ContainsFunc(q.lanes, func(l *lane) bool { return l != mine && time.Since(l.began) < turnsBeside }) {
				batch = q.take()
			}
			if batch == nil {
				q.lanes = slices.DeleteFunc(q.lanes, func(l *lane) bool { return l == mine })
				q.watch()
				q.mu.Unlock()
				return
			}
			mine.began = time.Now()
			q.mu.Unlock()
			q.run(batch)
		}
	}()
}

// take picks those who have waited longest; nil if nobody waits. The caller holds q.mu.
func (q *turns) take() []*turn {
	n := 0
	for records := 0; n < len(q.waiting) && (n == 0 || records+len(q.waiting[n].records) <= turnsRecords); n++ {
		records += len(q.waiting[n].records)
	}
	batch := q.waiting[:n:n]
	if q.waiting = q.waiting[n:]; n == 0 {
		return nil
	}
	slices.SortFunc(batch, func(a, b *turn) int { return cmp.Compare(a.partition, b.partition) })
	return batch
}

// run writes a batch, and if that fails each share for itself, so that none suffers for another.
func (q *turns) run(batch []*turn) {
	err := q.attempt(batch)
	for _, t := range batch {
		own := err
		if err != nil && len(batch) > 1 {
			own = q.attempt([]*turn{t})
		}
		t.done <- own
	}
}

// attempt ends when all have gone who wait for it.
func (q *turns) attempt(batch []*turn) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(batch[0].ctx))
	defer cancel()
	var left atomic.Int32
	left.Store(int32(len(batch))) //nolint:gosec // as many as there are partitions
	shares := make([]*share, len(batch))
	for i, t := range batch {
		shares[i] = t.share
		stop := context.AfterFunc(t.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})
		defer stop()
	}
	return q.write(ctx, shares)
}
