package duerows_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daybook-dev/daybook/internal/duerows"
)

func TestOwnersShareOneQuestionPerPeriod(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type answer struct {
			due []int
			err error
		}
		var asked atomic.Int64
		var next atomic.Pointer[answer]
		next.Store(&answer{})
		w := duerows.New(time.Second, func(_ context.Context, partitions []int) ([]int, error) {
			if asked.Add(1); !slices.Equal(partitions, []int{0, 1, 2}) {
				t.Errorf("asked for %v", partitions)
			}
			a := next.Load()
			return a.due, a.err
		})
		var wakes []<-chan struct{}
		for p := range 3 {
			wake, release := w.Own(p)
			defer release()
			wakes = append(wakes, wake)
		}
		woken := func() (all []int) {
			for p, c := range wakes {
				select {
				case <-c:
					all = append(all, p)
				default:
				}
			}
			return all
		}
		time.Sleep(10*time.Second + time.Millisecond)
		if got := woken(); asked.Load() != 10 || len(got) > 0 {
			t.Errorf("asked %d times in 10 s, and %v were woken with nothing due", asked.Load(), got)
		}
		due := []int{1}
		next.Store(&answer{due: due})
		time.Sleep(time.Second)
		if got := woken(); !slices.Equal(got, due) {
			t.Errorf("%v were woken, %v have rows due", got, due)
		}
		next.Store(&answer{err: errors.New("no connection")})
		time.Sleep(time.Second)
		if got := woken(); !slices.Equal(got, []int{0, 1, 2}) {
			t.Errorf("%v were woken after the question failed", got)
		}
	})
}

func TestNothingIsAskedWithoutOwners(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		w := duerows.New(time.Second, func(context.Context, []int) ([]int, error) { asked.Add(1); return nil, nil })
		for range 2 {
			before := asked.Load()
			_, release := w.Own(7)
			_, again := w.Own(7)
			release()
			time.Sleep(3*time.Second + time.Millisecond)
			if asked.Load() != before+3 {
				t.Errorf("asked %d times in 3 s", asked.Load()-before)
			}
			again()
			time.Sleep(time.Minute)
			if asked.Load() != before+3 {
				t.Errorf("asked %d times after the last owner had gone", asked.Load()-before-3)
			}
		}
	})
}

// A round comes at once, and then for each reason to look again, until ctx ends.
func TestAttendLooksForEveryReason(t *testing.T) {
	t.Parallel()
	const partition = 3
	var due atomic.Bool
	watch := duerows.New(time.Millisecond, func(context.Context, []int) ([]int, error) {
		if due.CompareAndSwap(true, false) {
			return []int{partition}, nil
		}
		return nil, nil
	})
	notified, wake, rounds := make(chan struct{}), make(chan struct{}), make(chan time.Duration)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		watch.Attend(ctx, partition, notified, wake, func(ctx context.Context) time.Duration {
			select {
			case again := <-rounds:
				return again
			case <-ctx.Done():
				return 0
			}
		})
	}()
	const never = 0
	rounds <- never // at once
	notified <- struct{}{}
	rounds <- never
	wake <- struct{}{}
	rounds <- never
	due.Store(true)
	rounds <- time.Millisecond // because of its rows
	rounds <- never            // because the time has passed
	end()
	<-ended
}
