package market

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// Trade places orders one after another, from several buyers at once, until it is stopped.
type Trade struct {
	shop   *Market
	Placed atomic.Int64
	errs   []error
	mu     sync.Mutex
	stop   context.CancelFunc
	buyers sync.WaitGroup
}

// StartTrade begins a trade whose orders are called after name.
func StartTrade(ctx context.Context, s *Market, name string) *Trade {
	t := &Trade{shop: s}
	ctx, t.stop = context.WithCancel(ctx)
	for buyer := range 3 {
		t.buyers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("%s-%d-%d", name, buyer, i)
				token, must := "tok_approve", "confirmed"
				if i%5 == 4 {
					token, must = "tok_decline", "rejected"
				}
				// What has begun is brought to its answer.
				finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
				err := s.Place(finish, id, token, must, testenv.Line("PLENTY", 1+i%3))
				if err == nil && i%7 == 3 && must == "confirmed" {
					s.Must(id, "cancelled")
					err = s.Command(finish, "/v1/orders/"+id+"/cancel", "cancel-"+id, "")
				}
				cancel()
				if err != nil {
					t.mu.Lock()
					t.errs = append(t.errs, err)
					t.mu.Unlock()
					return
				}
				t.Placed.Add(1)
				select { // a shop, not a benchmark
				case <-time.After(150 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	return t
}

// More waits until some more orders have been placed.
func (t *Trade) More(tb testing.TB, n int64) {
	tb.Helper()
	const within = time.Minute
	want, until := t.Placed.Load()+n, time.Now().Add(within)
	for t.Placed.Load() < want {
		if time.Now().After(until) {
			tb.Fatalf("only %d orders were placed within %s, not %d more", t.Placed.Load(), within, n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// End stops the buyers and fails the test if an order could not be placed.
func (t *Trade) End(tb testing.TB) {
	tb.Helper()
	t.stop()
	t.buyers.Wait()
	if err := errors.Join(t.errs...); err != nil {
		tb.Error(err)
	}
}
