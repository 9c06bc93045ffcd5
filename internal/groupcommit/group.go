package groupcommit

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a Group. Write is needed.
type Config[T any] struct {
	// Write writes all items, or none and gives an error. Calls overlap only where Lanes is above 1, or Beside above 0.
	Write func(ctx context.Context, items []T) error
	// One writes an item of a batch that failed; nil: Write.
	One func(ctx context.Context, item T) error
	// Again tells whether the items of a batch that failed are written one by one; nil: if there are several.
	Again func(items int, err error) bool
	// Size and Most bound a batch: the sum of sizes. Size nil: each counts 1. Most 0: no bound.
	Size func(T) int
	Most int
	// Lanes is how many batches may be under way; 0: 1. Another is begun when the first of those who wait has waited for Patience.
	Lanes    int
	Patience time.Duration
	// Beside is how many items of failed batches may be written at a time without keeping those who come later waiting;
	// 0: they are written before the next batch.
	Beside int
}

// Group writes items together.
type Group[T any] struct {
	cfg    Config[T]
	beside chan struct{}

	mu       sync.Mutex
	waiting  []*waiter[T] // by since
	lanes    []*lane
	watching bool // for one who waits long
}

// lane is what writes one batch after another.
type lane struct{ began time.Time }

type waiter[T any] struct {
	item  T
	ctx   context.Context //nolint:containedctx // of who waits for it
	since time.Time
	done  chan error
}

// New gives a group.
func New[T any](cfg Config[T]) *Group[T] {
	cfg.Lanes = max(cfg.Lanes, 1)
	if cfg.Size == nil {
		cfg.Size = func(T) int { return 1 }
	}
	if cfg.Again == nil {
		cfg.Again = func(items int, _ error) bool { return items > 1 }
	}
	if cfg.One == nil {
		cfg.One = func(ctx context.Context, item T) error { return cfg.Write(ctx, []T{item}) }
	}
	return &Group[T]{cfg: cfg, beside: make(chan struct{}, max(cfg.Beside, 1))}
}

// Do writes an item, together with others or alone. The error is the item's own. Who goes before does not learn what becomes of it.
func (g *Group[T]) Do(ctx context.Context, item T) error {
	w := &waiter[T]{item: item, ctx: ctx, since: time.Now(), done: make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	if len(g.lanes) == 0 {
		g.lead()
	} else {
		g.watch()
	}
	g.mu.Unlock()
	return w.wait()
}

// Alone writes an item beside all others.
func (g *Group[T]) Alone(ctx context.Context, item T) error {
	w := &waiter[T]{item: item, ctx: ctx, done: make(chan error, 1)}
	go g.one(w)
	return w.wait()
}

func (w *waiter[T]) wait() error {
	select {
	case err := <-w.done:
		return err
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// Waiting is how many items wait, and how many batches are under way.
func (g *Group[T]) Waiting() (items, batches int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting), len(g.lanes)
}

// watch begins another lane when the first of those who wait has waited long. The caller holds g.mu.
func (g *Group[T]) watch() {
	if g.watching || len(g.lanes) == g.cfg.Lanes || len(g.waiting) == 0 {
		return
	}
	g.watching = true
	time.AfterFunc(time.Until(g.waiting[0].since.Add(g.cfg.Patience)), func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.watching = false
		if len(g.waiting) > 0 && len(g.lanes) < g.cfg.Lanes && time.Since(g.waiting[0].since) >= g.cfg.Patience {
			g.lead()
			return
		}
		g.watch()
	})
}

// lead writes what waits until nothing does, or another lane is quick enough for all. The caller holds g.mu.
func (g *Group[T]) lead() {
	mine := &lane{began: time.Now()}
	g.lanes = append(g.lanes, mine)
	go func() {
		for {
			g.mu.Lock()
			var batch []*waiter[T]
			if !slices.ContainsFunc(g.lanes, func(l *lane) bool { return l != mine && time.Since(l.began) < g.cfg.Patience }) {
				batch = g.take()
			}
			if batch == nil {
				g.lanes = slices.DeleteFunc(g.lanes, func(l *lane) bool { return l == mine })
				g.watch()
				g.mu.Unlock()
				return
			}
			mine.began = time.Now()
			g.mu.Unlock()
			g.run(batch)
		}
	}()
}

// take picks those who have waited longest and still do; nil if none does. The caller holds g.mu.
func (g *Group[T]) take() []*waiter[T] {
	g.waiting = slices.DeleteFunc(g.waiting, func(w *waiter[T]) bool { return w.ctx.Err() != nil })
	n := 0
	for size := 0; n < len(g.waiting); n++ {
		if size += g.cfg.Size(g.waiting[n].item); n > 0 && g.cfg.Most > 0 && size > g.cfg.Most {
			break
		}
	}
	if n == 0 {
		return nil
	}
	batch := g.waiting[:n:n]
	g.waiting = slices.Clone(g.waiting[n:])
	return batch
}

// run writes a batch, and if that fails each item for itself, so that none suffers for another.
func (g *Group[T]) run(batch []*waiter[T]) {
	items := make([]T, len(batch))
	for i, w := range batch {
		items[i] = w.item
	}
	err := g.attempt(batch, func(ctx context.Context) error { return g.cfg.Write(ctx, items) })
	again := err != nil && g.cfg.Again(len(batch), err)
	for _, w := range batch {
		switch {
		case !again:
			w.done <- err
		case g.cfg.Beside > 0:
			go g.one(w)
		default:
			w.done <- g.attempt([]*waiter[T]{w}, func(ctx context.Context) error { return g.cfg.One(ctx, w.item) })
		}
	}
}

// one writes an item when there is room beside the others.
func (g *Group[T]) one(w *waiter[T]) {
	select {
	case g.beside <- struct{}{}:
		defer func() { <-g.beside }()
	case <-w.ctx.Done():
		w.done <- w.ctx.Err()
		return
	}
	w.done <- g.attempt([]*waiter[T]{w}, func(ctx context.Context) error { return g.cfg.One(ctx, w.item) })
}

// attempt ends when all have gone who wait for it. A panic is the error of each.
func (g *Group[T]) attempt(batch []*waiter[T], write func(context.Context) error) (err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(batch[0].ctx))
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	var left atomic.Int32
	left.Store(int32(len(batch))) //nolint:gosec // as many as wait
	for _, w := range batch {
		stop := context.AfterFunc(w.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})
		defer stop()
	}
	return write(ctx)
}
