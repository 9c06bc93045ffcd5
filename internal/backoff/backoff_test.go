package backoff_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daybook-dev/daybook/internal/backoff"
)

func ExamplePolicy() {
	p := backoff.Policy{First: time.Second, Most: 30 * time.Second}
	for tries := 1; ; tries++ {
		if err := connect(tries); err == nil {
			break
		}
		if err := p.Wait(context.Background(), tries); err != nil {
			return
		}
	}
	fmt.Println("connected")
	// Output: connected
}

func connect(int) error { return nil }

func TestWaitsDoubleUpToTheLongest(t *testing.T) {
	t.Parallel()
	p := backoff.Policy{First: 100 * time.Millisecond, Most: 3 * time.Second}
	for tries, want := range map[int]time.Duration{-1: 100, 0: 100, 1: 100, 2: 200, 3: 400, 5: 1600, 6: 3000, 7: 3000, 1 << 40: 3000} {
		want *= time.Millisecond
		lowest, highest := want, time.Duration(0)
		for range 200 {
			got := p.After(tries)
			lowest, highest = min(lowest, got), max(highest, got)
		}
		if lowest < want/2 || highest > want {
			t.Errorf("after %d tries: %s to %s, want %s to %s", tries, lowest, highest, want/2, want)
		}
		if highest-lowest < want/10 {
			t.Errorf("after %d tries: everybody waits %s", tries, highest)
		}
	}
	if got := (backoff.Policy{First: 5 * time.Second, Most: time.Second}).After(1); got > time.Second {
		t.Errorf("waits %s, longer than the longest", got)
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := backoff.Wait(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		began = time.Now()
		if err := backoff.Wait(t.Context(), time.Minute); err != nil || time.Since(began) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
