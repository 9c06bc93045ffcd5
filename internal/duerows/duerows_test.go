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
		asked := 0
		var due []int
		var fails error
		w := duerows.New(time.Second, func(_ context.Context, partitions []int) ([]int, error) {
			if asked++; !slices.Equal(partitions, []int{0, 1, 2}) {
				t.Errorf("asked for %v", partitions)
			}
			return due, fails
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
		if got := woken(); asked != 10 || len(got) > 0 {
			t.Errorf("asked %d times in 10 s, and %v were woken with nothing due", asked, got)
		}
		due = []int{1}
		time.Sleep(time.Second)
		if got := woken(); !slices.Equal(got, due) {
			t.Errorf("%v were woken, %v have rows due", got, due)
		}
		due, fails = nil, errors.New("no connection")
		time.Sleep(time.Second)
		if got := woken(); !slices.Equal(got, []int{0, 1, 2}) {
			t.Errorf("%v were woken after the question failed", got)
		}
	})
}

func TestNothingIsAskedWithoutOwners(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		w := duerows.New(time.Second, func(context.Context, []int) ([]int, error) { asked++; return nil, nil })
		for range 2 {
			before := asked
			_, release := w.Own(7)
			_, again := w.Own(7)
			release()
			time.Sleep(3*time.Second + time.Millisecond)
			if asked != before+3 {
				t.Errorf("asked %d times in 3 s", asked-before)
			}
			again()
			time.Sleep(time.Minute)
			if asked != before+3 {
				t.Errorf("asked %d times after the last owner had gone", asked-before-3)
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
