package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Who comes while all turns are taken is written together with the others who wait, and what one of them makes fail is tried
// for each alone.
func TestTurns(t *testing.T) {
	t.Parallel()
	var (
		mu       sync.Mutex
		together [][]int
		errs     = map[int]error{}
		all      sync.WaitGroup
	)
	gate, poison := make(chan struct{}), errors.New("poison")
	q := &turns{write: func(_ context.Context, shares []*share) error {
		var parts []int
		for _, s := range shares {
			parts = append(parts, s.partition)
		}
		if parts[0] < turnsAtOnce {
			<-gate
		}
		mu.Lock()
		defer mu.Unlock()
		if len(parts) > 1 {
			together = append(together, parts)
		}
		if slices.Contains(parts, 5) {
			return poison
		}
		return nil
	}}
	ask := func(partition, records, waiting int) {
		all.Go(func() {
			err := q.do(t.Context(), &share{partition: partition, records: make([]es.Record, records)})
			mu.Lock()
			errs[partition] = err
			mu.Unlock()
		})
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			q.mu.Lock()
			n, running := len(q.waiting), len(q.lanes)
			q.mu.Unlock()
			if n == waiting && (waiting > 0 || running == partition+1) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("partition %d: %d wait, %d are written", partition, n, running)
			}
		}
	}
	for p := range turnsAtOnce {
		ask(p, 1, 0) // the second when it has waited long
	}
	ask(9, 1, 1)
	ask(5, 1, 2)
	ask(7, turnsRecords-2, 3)
	ask(8, turnsRecords, 4) // too much for one transaction
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := q.do(gone, &share{partition: 6, records: make([]es.Record, 1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("who does not wait any more was told %v", err)
	}
	close(gate)
	all.Wait()
	if len(together) == 0 || !slices.Equal(together[0], []int{5, 7, 9}) {
		t.Errorf("written together: %v", together)
	}
	for p, err := range errs {
		if want := map[bool]error{true: poison}[p == 5]; !errors.Is(err, want) {
			t.Errorf("partition %d: %v, want %v", p, err, want)
		}
	}
}

// A transaction ends when nobody waits for it any more, and not before.
func TestTurnsEndWithTheirLast(t *testing.T) {
	t.Parallel()
	first, leaveFirst := context.WithCancel(t.Context())
	second, leaveSecond := context.WithCancel(t.Context())
	q := &turns{write: func(ctx context.Context, _ []*share) error {
		leaveFirst()
		if ctx.Err() != nil {
			t.Error("it ended with the first one")
		}
		leaveSecond()
		<-ctx.Done()
		return ctx.Err()
	}}
	err := q.attempt([]*turn{{share: &share{partition: 1}, ctx: first}, {share: &share{partition: 2}, ctx: second}})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
