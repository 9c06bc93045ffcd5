package checkpoint

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Horizon is a log that remembers how far it is known to reach: whatever is read through it, by the relay or a heal, moves
// that on. A process that relays and consumes therefore never asks for the end; another asks once for all who wait.
type Horizon struct {
	es.Log

	known  atomic.Uint64
	asking sync.Mutex
}

// NewHorizon makes the horizon of a log. Its users share it.
func NewHorizon(log es.Log) *Horizon { return &Horizon{Log: log} }

// Known is a position that the log has reached.
func (h *Horizon) Known() uint64 { return h.known.Load() }

// Reached is nil if the log has come to position. Else it is ErrAhead, or says why the end of the log is not known.
func (h *Horizon) Reached(ctx context.Context, position uint64) error {
	if position <= h.Known() {
		return nil
	}
	h.asking.Lock()
	defer h.asking.Unlock()
	if position <= h.Known() { // learned while another was asking
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	end, err := h.End(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("asking where the log ends: %w", err)
	case position > end:
		return fmt.Errorf("%w: position %d, the log ends at %d; %s", ErrAhead, position, end, Remedy)
	}
	return nil
}

// End implements es.Log.
func (h *Horizon) End(ctx context.Context) (uint64, error) {
	end, err := h.Log.End(ctx)
	if err == nil {
		h.note(end)
	}
	return end, err
}

// ReadAll implements es.Log.
func (h *Horizon) ReadAll(ctx context.Context, after uint64) iter.Seq2[es.Record, error] {
	return h.noting(h.Log.ReadAll(ctx, after))
}

// Follow implements es.Log.
func (h *Horizon) Follow(ctx context.Context, after uint64) iter.Seq2[es.Record, error] {
	return h.noting(h.Log.Follow(ctx, after))
}

func (h *Horizon) noting(records iter.Seq2[es.Record, error]) iter.Seq2[es.Record, error] {
	return func(yield func(es.Record, error) bool) {
		for rec, err := range records {
			if err == nil {
				h.note(rec.Position)
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

func (h *Horizon) note(position uint64) {
	for {
		known := h.known.Load()
		if position <= known || h.known.CompareAndSwap(known, position) {
			return
		}
	}
}
