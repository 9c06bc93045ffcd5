package beat_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daybook-dev/daybook/internal/beat"
)

// Whatever waits for beats of a second, begun at any moment, goes on at the same moments.
func TestBeatsFallTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := make(chan time.Time, 20)
		for range 10 {
			go func() {
				for range 2 {
					if err := beat.Wait(t.Context(), time.Second); err != nil {
						t.Error(err)
					}
					at <- time.Now()
				}
			}()
			time.Sleep(70 * time.Millisecond)
		}
		moments := map[time.Time]int{}
		for range 20 {
			moments[<-at]++
		}
		if len(moments) > 3 {
			t.Errorf("10 that wait twice go on at %d moments", len(moments))
		}
	})
}

func TestNextIsWithinAPeriod(t *testing.T) {
	t.Parallel()
	for _, period := range []time.Duration{1, 3, time.Millisecond, time.Second, 5 * time.Second} {
		for _, from := range []time.Duration{-time.Hour, -time.Second, -1, 0, 1, time.Millisecond, 7 * time.Hour} {
			after := time.Now().Add(from)
			next := beat.Next(after, period)
			if d := next.Sub(after); d <= 0 || d > period {
				t.Errorf("the next beat of %v is %v later", period, d)
			}
			if d := beat.Next(next, period).Sub(next); d != period {
				t.Errorf("two beats of %v are %v apart", period, d)
			}
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := beat.Wait(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
