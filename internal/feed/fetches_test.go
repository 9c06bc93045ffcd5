package feed

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/relay"
)

// requests counts them, and answers each when it is told to.
type requests struct {
	mu     sync.Mutex
	n      int
	answer chan fetched
	err    error
}

func (r *requests) fetch(ctx context.Context) (fetched, error) {
	r.mu.Lock()
	r.n++
	r.mu.Unlock()
	select {
	case got := <-r.answer:
		return got, r.err
	case <-ctx.Done():
		return fetched{}, ctx.Err()
	}
}

func (r *requests) want(t *testing.T, n int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n != n {
		t.Errorf("%d requests, want %d", r.n, n)
	}
}

func messages(n int, next int64) fetched {
	got := fetched{next: next}
	for i := range n {
		got.messages = append(got.messages, relay.Message{Record: es.Record{Position: uint64(i + 1)}}) //nolint:gosec // few
	}
	return got
}

func TestFeedsAtOnePlaceShareARequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, r := NewFetches(), &requests{answer: make(chan fetched)}
		here := place{"c", "t", 3, 7}
		first, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := f.at(first, here, fetchWait, r.fetch); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		})
		synctest.Wait()
		all.Go(func() {
			got, err := f.at(t.Context(), here, fetchWait, r.fetch)
			if err != nil || len(got.messages) != 2 || got.next != 9 {
				t.Errorf("who stayed got %d messages up to %d, %v", len(got.messages), got.next, err)
			}
		})
		all.Go(func() { // has little patience
			if got, err := f.at(t.Context(), here, time.Millisecond, r.fetch); err != nil || len(got.messages) != 0 || got.next != 7 {
				t.Errorf("who went on got %d messages up to %d, %v", len(got.messages), got.next, err)
			}
		})
		synctest.Wait()
		leave() // whoever began it need not stay
		time.Sleep(2 * time.Millisecond)
		r.answer <- messages(2, 9)
		all.Wait()
		r.want(t, 1)
		if got, err := f.at(t.Context(), here, fetchWait, r.fetch); err != nil || got.next != 9 { // came later
			t.Errorf("who came later got up to %d, %v", got.next, err)
		}
		r.want(t, 1)
	})
}

func TestOtherPlacesAndFailuresAreNotShared(t *testing.T) {
	t.Parallel()
	f, r := NewFetches(), &requests{answer: make(chan fetched, 1)}
	at := func(p place) (fetched, error) { return f.at(t.Context(), p, fetchWait, r.fetch) }
	places := []place{{"c", "t", 3, 7}, {"c", "t", 3, 8}, {"c", "t", 4, 8}, {"other", "t", 4, 8}, {"other", "u", 4, 8}}
	for i, p := range places {
		r.answer <- messages(1, int64(100+i))
		if got, err := at(p); err != nil || got.next != int64(100+i) {
			t.Errorf("%v: up to %d, %v", p, got.next, err)
		}
	}
	r.want(t, len(places))
	p := place{"c", "t", 5, 1}
	r.err = errors.New("no broker")
	r.answer <- messages(1, 2)
	if _, err := at(p); err == nil {
		t.Error("the failure was not told")
	}
	r.err = nil
	for range 2 { // neither a failure nor nothing is kept, nor more than a few
		r.answer <- messages(mostKept+1, 300)
		if got, err := at(p); err != nil || got.next != 300 {
			t.Errorf("after a failure: up to %d, %v", got.next, err)
		}
	}
	r.want(t, len(places)+3)
}
