package es

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// lane decides the commands of one stream one after another and appends them together: whoever comes
// first leads, and takes along all that queue up while an append is under way.
type lane[S any, P State[S]] struct {
	h      *Handler
	stream StreamID

	mu    sync.Mutex
	queue []*pending[S]
	busy  bool

	// The leader's.
	folded folded[S, P]
	warm   bool // folded is the stream as it once was
}

// pending is one call in a lane. Without a decision it only asks whether its command has been decided.
type pending[S any] struct {
	decision Decision[S]
	call     Call
	broken   error // it decides what cannot be folded
	appended bool  // its events went out in an append whose outcome is not known
	receipt  Receipt
	err      error
	done     chan struct{}
}

const (
	maxBatchBytes    = 512 << 10
	maxBatchCommands = 1000
	maxAttempts      = 16
	appendTimeout    = 10 * time.Second
)

func (l *lane[S, P]) do(ctx context.Context, d Decision[S], call Call) (Receipt, error) {
	if at := call.OccurredAt; at.After(l.h.now().Add(5 * time.Second)) {
		l.h.lanes.leave(l.stream)
		return Receipt{}, fmt.Errorf("%w: %s", ErrFuture, at.UTC().Format(time.RFC3339Nano))
	}
	defer l.h.lanes.leave(l.stream)
	p := &pending[S]{decision: d, call: call, done: make(chan struct{})}
	l.submit(ctx, p)
	select {
	case <-p.done:
		return p.receipt, p.err
	case <-ctx.Done():
		return Receipt{}, fmt.Errorf("%s on %s: %w: %w", commandType(d), l.stream, ErrUnknownOutcome, ctx.Err())
	}
}

func commandType[S any](d Decision[S]) string {
	if d == nil {
		return "command"
	}
	return d.CommandType()
}

func (l *lane[S, P]) submit(ctx context.Context, p *pending[S]) {
	l.mu.Lock()
	l.queue = append(l.queue, p)
	lead := !l.busy
	l.busy = true
	l.mu.Unlock()
	if lead {
		l.h.lanes.stay(l.stream)
		go l.lead(context.WithoutCancel(ctx)) // others' commands must not die with the first caller
	}
}

func (l *lane[S, P]) lead(ctx context.Context) {
	defer l.h.lanes.leave(l.stream)
	for {
		l.mu.Lock()
		n := min(len(l.queue), maxBatchCommands)
		if n == 0 {
			l.queue, l.busy = nil, false
			l.mu.Unlock()
			return
		}
		batch := l.queue[:n:n]
		l.queue = l.queue[n:]
		l.mu.Unlock()
		for len(batch) > 0 {
			batch = batch[l.run(ctx, batch):]
		}
		l.h.lanes.weigh(l.stream, l.folded.weight)
	}
}

// run answers the first commands of a batch, as many as fit one append, and says how many those were.
func (l *lane[S, P]) run(ctx context.Context, batch []*pending[S]) int {
	for attempt := range maxAttempts {
		if attempt > 0 {
			pause(ctx, attempt)
		}
		fresh := !l.warm || attempt > 0 // an answer that appends nothing needs a state read after its command came
		if fresh {
			if _, err := l.catchUp(ctx); err != nil {
				return l.answer(batch, err)
			}
		}
		d := l.decide(batch)
		if len(d.proposed) == 0 && !fresh {
			changed, err := l.catchUp(ctx)
			if err != nil {
				return l.answer(batch, err)
			}
			if changed {
				d = l.decide(batch)
			}
		}
		if d.broken {
			l.drop()
			continue
		}
		if len(d.proposed) == 0 {
			return l.answer(d.batch, nil)
		}
		err := l.append(ctx, d)
		switch {
		case err == nil:
			return l.answer(d.batch, nil)
		case errors.Is(err, ErrWrongRevision):
		case errors.Is(err, ErrUnknownOutcome):
			return l.answer(d.batch, err)
		case len(d.batch) > 1: // one of them is at fault: each for itself
			for i := range d.batch {
				l.run(ctx, d.batch[i:i+1])
			}
			return len(d.batch)
		default:
			return l.answer(d.batch, err)
		}
	}
	return l.answer(batch, fmt.Errorf("%s: %w", l.stream, ErrConflict))
}

// append makes a decided batch durable. ErrWrongRevision: decide again; the state is then either the stream as
// it was before, or dropped.
func (l *lane[S, P]) append(ctx context.Context, d decidedBatch[S]) error {
	for attempt := range maxAttempts {
		position, err := l.appendOnce(ctx, d)
		if err == nil {
			l.commit(d, position)
			return nil
		}
		if d.applied > 0 || !errors.Is(err, ErrWrongRevision) {
			l.drop()
		}
		if !errors.Is(err, ErrUnknownOutcome) {
			return err
		}
		for _, p := range d.batch {
			p.appended = true
		}
		// Perhaps it stands, perhaps not: read the tail. Commands found there are answered from it; if the stream is
		// where it was, the very same bytes go out again, so that whichever copy stands is the one folded here.
		if attempt == maxAttempts-1 || pause(ctx, attempt) != nil {
			return fmt.Errorf("%s: %w: %w", l.stream, ErrUnknownOutcome, err)
		}
		if _, rerr := l.catchUp(ctx); rerr != nil {
			return fmt.Errorf("%s: %w: %w", l.stream, ErrUnknownOutcome, rerr)
		}
		if l.folded.expected() != d.at {
			return ErrWrongRevision
		}
		d.applied = 0
	}
	panic("unreachable: the last attempt answers")
}

func (l *lane[S, P]) appendOnce(ctx context.Context, d decidedBatch[S]) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	position, err := l.h.store.Append(ctx, l.stream, d.at, d.proposed)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return position, err
}

func (l *lane[S, P]) commit(d decidedBatch[S], position uint64) {
	for i := range d.records {
		d.records[i].recorded.Position, d.records[i].record.Position = position, position
	}
	for _, r := range d.records[d.applied:] {
		if l.apply(r) != nil { // durable, and not to be folded: the next reading says so
			l.drop()
			break
		}
	}
	for _, p := range d.batch {
		if p.err == nil && !p.receipt.Replayed && len(p.receipt.Events) > 0 {
			p.receipt.Position = position
			for i := range p.receipt.Records {
				p.receipt.Records[i].Position = position
			}
		}
	}
}

// catchUp reads what the stream has beyond the state, all of it if there is none.
func (l *lane[S, P]) catchUp(ctx context.Context) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	for r, err := range l.h.store.Read(ctx, l.stream, l.folded.next) {
		if err != nil {
			l.drop()
			return true, fmt.Errorf("read %s: %w", l.stream, err)
		}
		e, err := l.h.catalog.Open(r)
		if err == nil {
			err = l.apply(folding{recorded: e, record: r})
		}
		if err != nil {
			l.drop()
			return true, err
		}
		changed = true
	}
	l.warm = true
	return changed, nil
}

func (l *lane[S, P]) apply(f folding) error {
	l.folded.weight += len(f.record.Data) + len(f.record.Meta)
	return l.folded.apply(f.recorded)
}

func (l *lane[S, P]) drop() { l.folded, l.warm = folded[S, P]{}, false }

func (l *lane[S, P]) answer(batch []*pending[S], err error) int {
	for _, p := range batch {
		if err != nil {
			p.receipt, p.err = Receipt{}, err
		}
		if p.decision == nil && p.err == nil && !p.receipt.Replayed {
			p.receipt = Receipt{}
		}
		close(p.done)
	}
	return len(batch)
}

func pause(ctx context.Context, attempt int) error {
	most := time.Millisecond << min(attempt, 8)
	t := time.NewTimer(rand.N(most)) //nolint:gosec // jitter
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
