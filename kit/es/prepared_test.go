package es_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

func (f *fixture) prepared(ctx context.Context, key string, call es.Call, prepare func(context.Context) (es.Decision[Tally], error)) (es.Receipt, error) {
	return es.HandlePrepared(ctx, f.h, key, call, prepare)
}

// Fifty at once with one key: one effect, one answer, one look at the prices.
func TestPreparedInParallel(t *testing.T) {
	f := begin(t)
	f.h.Hold(0) // no lane outlives its last user
	f.store.Fail(memory.Faults{BeforeAppend: func(context.Context, es.StreamID, es.Expected, []es.Proposed) error {
		time.Sleep(5 * time.Millisecond)
		return nil
	}})
	var looked atomic.Int32
	var first atomic.Int32
	var all sync.WaitGroup
	receipts := make([]es.Receipt, 50)
	for i := range receipts {
		all.Go(func() {
			var err error
			receipts[i], err = f.prepared(t.Context(), "a", es.Call{ID: id(1), Digest: []byte("d")}, func(context.Context) (es.Decision[Tally], error) {
				return Add{K: "a", Tag: "x", N: int(looked.Add(1))}, nil
			})
			if err != nil {
				t.Errorf("%d: %v", i, err)
			}
			if !receipts[i].Replayed {
				first.Add(1)
			}
		})
	}
	all.Wait()
	if looked.Load() != 1 || first.Load() != 1 || f.store.Appends() != 1 {
		t.Errorf("looked up %d times, %d first answers, %d appends", looked.Load(), first.Load(), f.store.Appends())
	}
	for _, r := range receipts {
		if r.Revision != receipts[0].Revision || r.Position != receipts[0].Position || !cmp.Equal(r.Events, receipts[0].Events) {
			t.Errorf("answers %+v and %+v", receipts[0], r)
		}
	}
	if n, err := waitIdle(f.h); err != nil || n != 0 {
		t.Errorf("%d lanes are left, %v", n, err)
	}
}

// In two processes at once, too: the stream decides.
func TestPreparedInTwoHandlers(t *testing.T) {
	for range 30 {
		f := begin(t)
		var all sync.WaitGroup
		var mu sync.Mutex
		events := map[es.UUID]bool{}
		price := 0
		for _, h := range []*es.Handler{f.h, f.handler(), f.handler()} {
			for range 4 {
				all.Go(func() {
					r, err := es.HandlePrepared(t.Context(), h, "a", es.Call{ID: id(1)}, func(context.Context) (es.Decision[Tally], error) {
						mu.Lock()
						defer mu.Unlock()
						price++
						return Add{K: "a", Tag: "x", N: price}, nil
					})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					events[r.Events[0]] = true
					mu.Unlock()
				})
			}
		}
		all.Wait()
		if len(events) != 1 || len(f.events("a")) != 1 {
			t.Fatalf("%d different answers, %d events", len(events), len(f.events("a")))
		}
	}
}

func TestPrepared(t *testing.T) {
	f := begin(t)
	none := errors.New("no such product")
	failing := func(context.Context) (es.Decision[Tally], error) { return nil, none }
	if _, err := f.prepared(t.Context(), "a", es.Call{ID: id(1)}, failing); !errors.Is(err, none) {
		t.Errorf("%v", err)
	}
	add := func(context.Context) (es.Decision[Tally], error) { return Add{K: "a", Tag: "x", N: 1}, nil }
	r, err := f.prepared(t.Context(), "a", es.Call{ID: id(1), Digest: []byte("d")}, add)
	if err != nil || r.Replayed || len(r.Events) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	// The accepted answer is repeated although the product has gone since.
	if again, err := f.prepared(t.Context(), "a", es.Call{ID: id(1), Digest: []byte("d")}, failing); err != nil || !again.Replayed {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := f.prepared(t.Context(), "a", es.Call{ID: id(1), Digest: []byte("e")}, failing); !errors.Is(err, es.ErrKeyReused) {
		t.Errorf("%v, want ErrKeyReused", err)
	}
	if _, err := f.prepared(t.Context(), "b", es.Call{ID: id(2)}, add); err == nil {
		t.Error("a command on another stream than it was prepared for was done")
	}
	other := f.h
	f.h = f.handler()
	f.must(Add{K: "a", Tag: "theirs", N: 1}, es.Call{ID: id("theirs")})
	f.h = other // its state is older, and still the repeat is known
	if again, err := f.prepared(t.Context(), "a", es.Call{ID: id("theirs")}, failing); err != nil || !again.Replayed {
		t.Errorf("%+v, %v", again, err)
	}
	for range 2 { // without id: no repeat of anything
		if r, err := f.prepared(t.Context(), "a", es.Call{}, add); err != nil || r.Replayed {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// Who waits for the first one's answer does not wait past its own deadline, and does not know.
func TestPreparedWaits(t *testing.T) {
	f := begin(t)
	entered, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := f.prepared(t.Context(), "a", es.Call{ID: id(1)}, func(context.Context) (es.Decision[Tally], error) {
			close(entered)
			<-release
			return Add{K: "a", Tag: "x", N: 1}, nil
		})
		first <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := f.prepared(ctx, "a", es.Call{ID: id(1)}, func(context.Context) (es.Decision[Tally], error) {
		t.Error("a repeat was prepared while the first one ran")
		return nil, errors.New("no")
	})
	if !errors.Is(err, es.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, err := f.prepared(t.Context(), "a", es.Call{ID: id(2)}, func(context.Context) (es.Decision[Tally], error) {
		return Add{K: "a", Tag: "y", N: 1}, nil
	}); err != nil { // another key does not wait
		t.Error(err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
}
