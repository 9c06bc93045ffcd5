package reactor

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/kit/reactor"
)

// impatience is how long no batch waits after one that did so in vain: what answers slowly needs rows anyway.
const impatience = 10 * time.Second

// firstTries are tries at the intents of a batch whose rows are not written yet, nor the checkpoint behind them. An intent that is settled in
// time needs no row. What a crash cuts off comes again with the batch, and its outcome is found in its stream.
type firstTries struct {
	done chan struct{} // closed when all have ended
	rows chan struct{} // closed when the rows of the others are written, or are not going to be
	mu   sync.Mutex
	open int                // tries under way
	over bool               // the batch waits no longer
	came map[string]openRow // what is left of those that ended in time, by key; no reactor: nothing
}

// written lets tries that take longer go on to their rows.
func (f *firstTries) written() { close(f.rows) }

// tryFirst tries intents for which there is room, and waits for them briefly.
func (e *Engine) tryFirst(ctx context.Context, partition int, asked []row) *firstTries {
	f := &firstTries{done: make(chan struct{}), rows: make(chan struct{}), came: map[string]openRow{}}
	e.mu.Lock()
	o, slow := e.owners[partition], e.now().Before(e.slowUntil)
	e.mu.Unlock()
	if o == nil || slow || len(asked) == 0 {
		return f
	}
	f.open = 1 // this call
	for _, r := range asked {
		if !o.tryFirst(f, r) {
			break
		}
	}
	f.ended()
	late := time.NewTimer(e.cfg.patience)
	defer late.Stop()
	select {
	case <-f.done:
	case <-ctx.Done():
	case <-late.C:
		e.mu.Lock()
		e.slowUntil = e.now().Add(impatience)
		e.mu.Unlock()
	}
	return f
}

// tryFirst begins a try, if there is a slot.
func (o *owner) tryFirst(f *firstTries, r row) bool {
	select {
	case o.slots <- struct{}{}:
	default:
		return false
	}
	if _, ok := o.begin(r); !ok {
		<-o.slots
		return true
	}
	f.mu.Lock()
	f.open++
	f.mu.Unlock()
	begun := o.goOn(func() {
		defer func() { <-o.slots }()
		next, err := o.try(o.ctx, r)
		if f.take(o, r, next, err) {
			o.leave(r)
			return
		}
		<-f.rows
		again := o.ctx.Err() == nil && o.keep(o.ctx, r, next, err)
		o.end(r)
		if again {
			wake(o.wake)
		}
	})
	if !begun {
		o.leave(r)
		<-o.slots
		f.ended()
	}
	return begun
}

// leave ends a try of which no row was read.
func (o *owner) leave(r row) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.running, r.key())
}

// take notes what a try came to. False: its batch has given up waiting, and writes the row as if it had not begun.
func (f *firstTries) take(o *owner, r row, next reactor.Next, failed error) bool {
	defer f.ended()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.over:
		return false
	case o.ctx.Err() != nil: // it is another owner's
	case failed == nil && next.Closed:
		f.came[r.key()] = openRow{}
	default:
		memo, after, err := o.leaves(r, next, failed)
		if err == nil {
			left := openRow{row: r, memo: memo}
			left.task.Tries, left.due = 1, o.now().Add(after)
			f.came[r.key()] = left
		}
	}
	return true
}

func (f *firstTries) ended() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open--; f.open == 0 {
		close(f.done)
	}
}

// left gives the rows that intents need, and ends the waiting.
func (f *firstTries) left(asked []row) []openRow {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	rows := make([]openRow, 0, len(asked))
	for _, r := range asked {
		switch left, came := f.came[r.key()]; {
		case !came:
			rows = append(rows, openRow{row: r})
		case left.reactor != "":
			rows = append(rows, left)
		}
	}
	return slices.Clip(rows)
}
