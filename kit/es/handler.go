package es

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/internal/lru"
)

// Handler runs commands. It is one per process and knows no aggregate: a lane per stream is made from
// the command's own state type.
type Handler struct {
	store   Store
	catalog *Catalog
	now     func() time.Time
	lanes   *lru.Cache[StreamID, any] // of *lane[S, P]; two of one stream would decide against each other

	mu       sync.Mutex
	underway map[underway]chan struct{}
}

type underway struct {
	stream StreamID
	id     UUID
}

// NewHandler gives a handler that appends to store. now is the process' clock.
func NewHandler(store Store, catalog *Catalog, now func() time.Time) *Handler {
	return &Handler{
		store: store, catalog: catalog, now: now,
		lanes:    lru.New[StreamID, any](DefaultHold),
		underway: map[underway]chan struct{}{},
	}
}

// DefaultHold is how many bytes of folded streams a handler keeps.
const DefaultHold = 64 << 20

// Hold sets how many bytes of folded streams are kept, so that a command on one of them reads nothing. A stream that had to leave is
// read from its beginning by its next command: who goes round in more streams than fit pays for each stream's whole length every time.
func (h *Handler) Hold(bytes int) { h.lanes.Hold(bytes) }

// Catalog is what the handler encodes and decodes with.
func (h *Handler) Catalog() *Catalog { return h.catalog }

// Send runs a command whose state type is not known here.
func (h *Handler) Send(ctx context.Context, c Command, call Call) (Receipt, error) {
	return c.handle(ctx, h, call)
}

// Handle decides d on its stream and makes its events durable, exactly once per call.ID. Errors: a *Rejection,
// ErrPrecondition, ErrKeyReused, ErrConflict, ErrFuture, ErrEventTooLarge, ErrNUL, or ErrUnknownOutcome when it
// cannot be known whether the events stand; repeat it then with the same ID. ErrUnavailable: nothing was done.
func Handle[S any, P State[S]](ctx context.Context, h *Handler, d Decision[S], call Call) (Receipt, error) {
	return handle[S, P](ctx, h, streamOf[S, P](d), d, call, nil)
}

// handle decides d in the lane of a stream; without d it only asks whether the command has been decided.
func handle[S any, P State[S]](ctx context.Context, h *Handler, stream StreamID, d Decision[S], call Call, view func(*S)) (Receipt, error) {
	l, err := laneOf[S, P](h, stream)
	if err != nil {
		return Receipt{}, err
	}
	defer h.lanes.Leave(stream)
	if call.ID.IsZero() {
		call.ID = randomUUID()
	}
	return l.do(ctx, d, call, view)
}

// HandlePrepared is Handle for a command that must be filled in (prices, numbers) before it can be decided.
// A repeat of a command that this process knows to be decided is answered before anything is looked up, and one that
// arrives while the first runs waits for it. Where another process decided it, what was looked up is dropped, or did not
// matter if the state could not be read: the answer is the first one all the same. prepare's decision must be on the stream named.
func HandlePrepared[S any, P State[S]](ctx context.Context, h *Handler, key string, call Call, prepare func(context.Context) (Decision[S], error)) (Receipt, error) {
	return prepared[S, P](ctx, h, key, call, prepare, nil)
}

func prepared[S any, P State[S]](ctx context.Context, h *Handler, key string, call Call, prepare func(context.Context) (Decision[S], error), view func(*S)) (Receipt, error) {
	if call.ID.IsZero() {
		call.ID = randomUUID()
	}
	stream := StreamID{Category: P(nil).Category(), Key: key}
	release, err := h.enter(ctx, underway{stream, call.ID})
	if err != nil {
		return Receipt{}, fmt.Errorf("command on %s, its first sending is still under way: %w: %w", stream, ErrUnknownOutcome, err)
	}
	defer release()
	asked, err := undecided[S, P](h, stream, call.ID)
	if err != nil {
		return Receipt{}, err
	}
	if !asked {
		if r, err := handle[S, P](ctx, h, stream, nil, call, nil); err != nil || r.Replayed {
			return r, err
		}
	}
	d, err := prepare(ctx)
	if err != nil {
		if asked { // of a cached state only: another process may have decided it
			if r, unread := handle[S, P](ctx, h, stream, nil, call, nil); unread != nil || r.Replayed {
				return r, unread
			}
		}
		return Receipt{}, err
	}
	if s := streamOf[S, P](d); s != stream {
		return Receipt{}, fmt.Errorf("command prepared for %s is on %s", stream, s)
	}
	return handle[S, P](ctx, h, stream, d, call, view)
}

// undecided tells whether a cached state is at hand that does not know the command.
func undecided[S any, P State[S]](h *Handler, stream StreamID, id UUID) (bool, error) {
	l, err := laneOf[S, P](h, stream)
	if err != nil {
		return false, err
	}
	defer h.lanes.Leave(stream)
	decided, warm := l.knows(id)
	return warm && !decided, nil
}

// enter lets one call at a time through per stream and command id.
func (h *Handler) enter(ctx context.Context, u underway) (release func(), err error) {
	for {
		h.mu.Lock()
		before, busy := h.underway[u]
		if !busy {
			done := make(chan struct{})
			h.underway[u] = done
			h.mu.Unlock()
			return func() {
				h.mu.Lock()
				delete(h.underway, u)
				h.mu.Unlock()
				close(done)
			}, nil
		}
		h.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Loaded is a stream folded for reading.
type Loaded[S any] struct {
	State    S
	Revision Expected // NoStream: there is no such stream, or none yet at that moment
	Position uint64   // of the last event folded
	At       time.Time
}

// Load folds the stream of a key from its beginning, as the store has it now. Folding ends before the first event
// for which stop says so; nil folds all.
func Load[S any, P State[S]](ctx context.Context, h *Handler, key string, stop func(Recorded) bool) (Loaded[S], error) {
	var f folded[S, P]
	for r, err := range h.store.Read(ctx, StreamID{Category: P(nil).Category(), Key: key}, 0) {
		if err != nil {
			return Loaded[S]{}, err
		}
		e, err := h.catalog.Open(r)
		if err != nil {
			return Loaded[S]{}, err
		}
		if stop != nil && stop(e) {
			break
		}
		if err := f.apply(e); err != nil {
			return Loaded[S]{}, err
		}
	}
	return Loaded[S]{f.state, f.expected(), f.position, f.lastAt}, nil
}
