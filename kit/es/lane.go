package es

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// lane decides the commands of one stream one after another and appends them together: the one that comes
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

// laneOf gives the lane of a stream, to be left again.
func laneOf[S any, P State[S]](h *Handler, s StreamID) (*lane[S, P], error) {
	if s.Key == "" {
		return nil, fmt.Errorf("command for %s without a key", s.Category)
	}
	l, ok := h.lanes.Take(s, func() any { return &lane[S, P]{h: h, stream: s} }).(*lane[S, P])
	if !ok {
		h.lanes.Leave(s)
		return nil, fmt.Errorf("category %q belongs to two state types", s.Category)
	}
	return l, nil
}

// pending is one call in a lane. Without a decision it only asks whether its command has been decided.
type pending[S any] struct {
	ctx      context.Context // the caller's: once it has ended the answer is not waited for
	decision Decision[S]
	call     Call
	view     func(*S) // may be nil: called with the state that the command left, and with nil when that is not to be any more
	broken   error    // it decides what cannot be folded
	sent     *sent    // its events went out in an append whose outcome is not known
	receipt  Receipt
	err      error
	done     chan struct{}
}

// sent is what an append of unknown outcome holds of one command.
type sent struct {
	at      Expected
	receipt Receipt
	settled bool // the stream was seen beyond at: those events stand in it, or never will
}

func (p *pending[S]) unsure() bool { return p.sent != nil && !p.sent.settled }

// show gives the caller's view the state. One that panics has seen nothing: what is durable stays so.
func (p *pending[S]) show(s *S) {
	if p.view != nil {
		defer func() { _ = recover() }()
		p.view(s)
	}
}

const (
	maxBatchBytes    = 512 << 10
	maxBatchCommands = 1000
	maxAttempts      = 16
	appendTimeout    = 10 * time.Second
)

func (l *lane[S, P]) do(ctx context.Context, d Decision[S], call Call, view func(*S)) (Receipt, error) {
	if err := l.future(call); err != nil {
		return Receipt{}, err
	}
	p := &pending[S]{ctx: ctx, decision: d, call: call, view: view, done: make(chan struct{})}
	if err := notBegun(p); err != nil {
		return Receipt{}, err
	}
	l.submit(p)
	select {
	case <-p.done:
		return p.receipt, p.err
	case <-ctx.Done():
	}
	select {
	case <-p.done: // both at once: the answer is worth more
		return p.receipt, p.err
	default:
		return Receipt{}, fmt.Errorf("%s on %s: %w: %w", commandType(d), l.stream, ErrUnknownOutcome, ctx.Err())
	}
}

// future refuses a stated time that has not come.
func (l *lane[S, P]) future(call Call) error {
	if at := call.OccurredAt; at.After(l.h.now().Add(5 * time.Second)) {
		return fmt.Errorf("%w: %s", ErrFuture, at.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

func commandType[S any](d Decision[S]) string {
	if d == nil {
		return "command"
	}
	return d.CommandType()
}

// knows answers from the cached state, while no command changes it, whether a command may have been decided: false means that it
// was not, as far as this process has heard. warm is false if there is no state to ask.
func (l *lane[S, P]) knows(id UUID) (decided, warm bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy || !l.warm {
		return false, false
	}
	_, decided = l.folded.commands[id]
	return decided, true
}

// submit queues calls, one behind the other. A call that finds no leader starts one, which lives as long as there are calls and not
// only as long as the first one's caller: others' commands must not die with it.
func (l *lane[S, P]) submit(calls ...*pending[S]) {
	l.mu.Lock()
	l.queue = append(l.queue, calls...)
	lead := !l.busy
	l.busy = true
	l.mu.Unlock()
	if lead {
		l.h.lanes.Get(l.stream) // its caller may leave before
		go l.lead(context.WithoutCancel(calls[0].ctx))
	}
}

func (l *lane[S, P]) lead(ctx context.Context) {
	defer l.h.lanes.Leave(l.stream)
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
		l.h.lanes.Weigh(l.stream, l.folded.bytes())
	}
}

// run answers the first commands of a batch, as many as fit one append, and says how many those were.
func (l *lane[S, P]) run(ctx context.Context, batch []*pending[S]) int {
	if abandoned(batch) {
		return l.answer(batch, nil)
	}
	for attempt := 0; attempt < maxAttempts; {
		fresh := !l.warm || attempt > 0 // an answer that appends nothing needs a state read after its command came
		if fresh {
			if err := l.refresh(ctx, attempt > 0); err != nil {
				return l.answer(batch, err)
			}
		}
		d := l.decide(batch)
		if len(d.proposed) == 0 && !d.broken && !fresh {
			changed, err := l.catchUp(ctx)
			if err != nil {
				return l.answer(batch, err)
			}
			if changed {
				d = l.decide(batch)
			}
		}
		if d.broken { // the batch decides again without the command that broke it, so this ends
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
			attempt++
			pause(attempt)
		case errors.Is(err, ErrUnknownOutcome) || errors.Is(err, ErrUnavailable) || len(d.batch) == 1:
			return l.answer(d.batch, err)
		default: // refused: one of them may be at fault, so each for itself
			for i := range d.batch {
				l.run(ctx, d.batch[i:i+1])
			}
			return len(d.batch)
		}
	}
	return l.answer(batch, fmt.Errorf("%s: %w", l.stream, ErrConflict))
}

// abandoned tells whether none of a batch's answers is waited for.
func abandoned[S any](batch []*pending[S]) bool {
	for _, p := range batch {
		if p.err = notBegun(p); p.err == nil {
			return false
		}
	}
	return true
}

func notBegun[S any](p *pending[S]) error {
	if err := p.ctx.Err(); err != nil {
		return fmt.Errorf("%s: not begun: %w", commandType(p.decision), err)
	}
	return nil
}

// refresh reads what the stream has beyond the state. A conflict with nothing new to read means that the state
// is not of this stream (any more): the store was restored to an earlier moment, say.
func (l *lane[S, P]) refresh(ctx context.Context, conflict bool) error {
	warm := l.warm
	changed, err := l.catchUp(ctx)
	if err == nil && conflict && warm && !changed {
		l.drop()
		_, err = l.catchUp(ctx)
	}
	return err
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
			if p.err == nil && len(p.receipt.Records) > 0 {
				p.sent = &sent{at: d.at, receipt: p.receipt}
			}
		}
		if attempt == maxAttempts-1 {
			return fmt.Errorf("%s: %w: %w", l.stream, ErrUnknownOutcome, err)
		}
		pause(attempt)
		// Perhaps it is recorded, perhaps not: read the tail. Commands found there are answered from it; if the stream is
		// where it was, the very same bytes go out again, so that whichever copy was recorded is the one folded here.
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
	if err != nil && !errors.Is(err, ErrUnavailable) &&
		(ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		err = fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return position, err
}

// commit folds what has become durable, and gives it its position.
func (l *lane[S, P]) commit(d decidedBatch[S], position uint64) {
	for i := range d.records {
		d.records[i].recorded.Position, d.records[i].record.Position = position, position
	}
	for _, f := range d.records[:d.applied] {
		l.folded.place(f.recorded)
	}
	for i := d.applied; i < len(d.records); i++ {
		if l.applyOf(d, i) != nil { // durable, and not to be folded: the next reading says so
			l.drop()
			break
		}
	}
	for _, p := range d.batch {
		p.sent = nil
		if p.err == nil && p.receipt.Position == 0 { // it has events in the batch, or saw those of others
			p.receipt = p.receipt.at(position)
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

// applyOf folds a record of a decided batch. After the last one of a command its view is shown the state.
func (l *lane[S, P]) applyOf(d decidedBatch[S], i int) error {
	f := d.records[i]
	if err := l.apply(f); err != nil {
		return err
	}
	if i+1 == len(d.records) || d.records[i+1].owner != f.owner {
		d.batch[f.owner].show(&l.folded.state)
	}
	return nil
}

func (l *lane[S, P]) drop() { l.folded, l.warm = folded[S, P]{}, false }

// answer lets the callers go, with their own answers or with one error for all.
func (l *lane[S, P]) answer(batch []*pending[S], err error) int {
	for _, p := range batch {
		if err != nil {
			p.err = err
		}
		if p.err != nil && p.unsure() && !errors.Is(p.err, ErrUnknownOutcome) {
			p.err = fmt.Errorf("%s: %w: %w", l.stream, ErrUnknownOutcome, p.err)
		}
		if p.err != nil || (p.decision == nil && !p.receipt.Replayed) {
			p.receipt = Receipt{}
		}
		close(p.done)
	}
	return len(batch)
}

// pause lets another process' append through, with jitter: up to 1 ms at first, 256 ms in the end.
func pause(attempt int) {
	time.Sleep(rand.N(time.Millisecond << min(attempt, 8))) //nolint:gosec // jitter
}
