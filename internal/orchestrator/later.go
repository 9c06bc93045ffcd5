package orchestrator

import (
	"context"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// laterRows are what owners came to when they had looked at instances, and have not written yet: many go together, and most are out of date
// before. Until they are written, or where they cannot be, their instances are due. A look at one then finds nothing to do.
type laterRows struct {
	within time.Duration // 0: a row is written at once
	write  func(context.Context, row) error

	mu      sync.Mutex
	rows    map[es.StreamID]*row
	waiting bool
}

// flushWithin bounds the writing.
const flushWithin = 5 * time.Second

// put writes a row, or has it written soon.
func (l *laterRows) put(ctx context.Context, r row) error {
	if l.within <= 0 {
		return l.write(ctx, r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows == nil {
		l.rows = map[es.StreamID]*row{}
	}
	l.rows[r.id] = &r
	if !l.waiting {
		l.waiting = true
		time.AfterFunc(l.within, func() { l.flush(context.WithoutCancel(ctx)) })
	}
	return nil
}

// covers tells whether an instance whose row is due at a revision was looked at since, and owes nothing at a moment.
func (l *laterRows) covers(id es.StreamID, revision uint64, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.rows[id]
	return r != nil && r.revision >= revision && (r.due.IsZero() || r.due.After(now))
}

// flush writes what there is, each row for itself: none suffers for one that is held.
func (l *laterRows) flush(ctx context.Context) {
	l.mu.Lock()
	rows := make([]*row, 0, len(l.rows))
	for _, r := range l.rows {
		rows = append(rows, r)
	}
	l.waiting = false
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, flushWithin)
	defer cancel()
	var all sync.WaitGroup
	for _, r := range rows {
		all.Go(func() {
			_ = l.write(ctx, *r) // else it stays due
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.rows[r.id] == r {
				delete(l.rows, r.id)
			}
		})
	}
	all.Wait()
}
