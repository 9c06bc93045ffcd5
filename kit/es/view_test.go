package es_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

func sumOf(t Tally) uint64 { return uint64(t.Sum) }

// Every answer of a batch shows the state after its own events and before the next one's, in one process and in two.
func TestViewIsAtTheReceiptsRevision(t *testing.T) {
	f := begin(t)
	handlers := []*es.Handler{f.h, f.handler()}
	var all sync.WaitGroup
	for i := range 40 {
		for p, h := range handlers {
			all.Go(func() {
				call := es.Call{ID: id(fmt.Sprint(i, p))}
				for n := range 3 { // the first answer, and two repeats when the stream has gone on
					r, sum, err := es.HandleView(t.Context(), h, Add{K: "a", Tag: "x", N: 1, Times: 1 + i%3}, call, sumOf)
					if err != nil || sum != r.Revision+1 || r.Replayed != (n > 0) {
						t.Errorf("%d: %+v shows %d, %v", n, r, sum, err)
					}
				}
			})
		}
	}
	all.Wait()
}

func TestViewOfNothingToDo(t *testing.T) {
	f := begin(t)
	f.must(Add{K: "a", Tag: "x", N: 7}, es.Call{})
	other := f.h
	f.h = f.handler()
	f.must(Add{K: "a", Tag: "x", N: 1}, es.Call{})
	r, sum, err := es.HandleView(t.Context(), other, Add{K: "a"}, es.Call{}, sumOf)
	if err != nil || sum != 8 || r.Revision != 1 || len(r.Events) != 0 {
		t.Errorf("%+v shows %d, %v", r, sum, err)
	}
}

// The lane shows it: the stream is not read again for an answer.
func TestViewReadsNothing(t *testing.T) {
	f := begin(t)
	f.must(Add{K: "a", Tag: "x", N: 1}, es.Call{})
	f.store.Fail(memory.Faults{BeforeRead: func(context.Context, es.StreamID, uint64) error {
		t.Error("the stream was read")
		return nil
	}})
	add := Add{K: "a", Tag: "x", N: 1}
	if _, sum, err := es.HandleView(t.Context(), f.h, add, es.Call{}, sumOf); err != nil || sum != 2 {
		t.Errorf("shows %d, %v", sum, err)
	}
	prepare := func(context.Context) (es.Decision[Tally], error) { return add, nil }
	if _, err := waitIdle(f.h); err != nil { // a lane is asked when it has no leader
		t.Fatal(err)
	}
	if _, sum, err := es.HandlePreparedView(t.Context(), f.h, "a", es.Call{}, prepare, sumOf); err != nil || sum != 3 {
		t.Errorf("shows %d, %v", sum, err)
	}
}

// A view that panics loses its caller the answer from the lane, and no other caller anything.
func TestViewPanics(t *testing.T) {
	f := begin(t)
	looked := 0
	r, sum, err := es.HandleView(t.Context(), f.h, Add{K: "a", Tag: "x", N: 5}, es.Call{}, func(s Tally) uint64 {
		if looked++; looked == 1 {
			panic("no")
		}
		return sumOf(s)
	})
	if err != nil || sum != 5 || r.Revision != 0 {
		t.Errorf("%+v shows %d, %v", r, sum, err)
	}
	f.must(Add{K: "a", Tag: "x", N: 5}, es.Call{})
}
