package lease_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/lease"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/estest"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

var given = estest.Given[lease.Lease]

func TestTake(t *testing.T) {
	first := events.LeaseTaken{Name: "order-number", From: 1_000_001, To: 1_001_000}
	given(t).When(lease.Take{Range: lease.OrderNumber}).Then(first)
	given(t, first).When(lease.Take{Range: lease.OrderNumber}).Then(events.LeaseTaken{Name: "order-number", From: 1_001_001, To: 1_002_000})
	given(t, events.LeaseTaken{To: events.MaxAmount - 1}).When(lease.Take{Range: lease.OrderNumber}).ThenRejected(lease.Exhausted)
}

// Two processes at once, many callers each: every number is given once.
func TestNumbersAreGivenOnce(t *testing.T) {
	store := memory.New()
	small := lease.Range{Name: "order-number", First: 1_000_001, Block: 7}
	processes := []*lease.Numbers{numbers(t, store, small), numbers(t, store, small)}
	var mu sync.Mutex
	var wg sync.WaitGroup
	given, greatest := map[uint64]bool{}, uint64(0)
	for i := range 200 {
		wg.Go(func() {
			n, err := processes[i%2].Next(t.Context())
			mu.Lock()
			defer mu.Unlock()
			if err != nil || given[n] || n < small.First {
				t.Errorf("number %d, given before: %v, %v", n, given[n], err)
			}
			given[n], greatest = true, max(greatest, n)
		})
	}
	wg.Wait()
	if len(given) != 200 || greatest >= small.First+200+2*small.Block {
		t.Errorf("%d numbers up to %d", len(given), greatest)
	}
}

func TestNumbersWaitNoLongerThanTheirCaller(t *testing.T) {
	blocked := blockedStore{make(chan struct{})}
	n := numbers(t, blocked, lease.OrderNumber)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 { // one takes the lease, one waits for its turn
		wg.Go(func() {
			if _, err := n.Next(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
	cancel()
	wg.Wait()
	close(blocked.until)
}

func numbers(t *testing.T, store es.Store, of lease.Range) *lease.Numbers {
	t.Helper()
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	return lease.NewNumbers(es.NewHandler(store, c, time.Now), of)
}

func TestFoldsEveryEvent(t *testing.T) {
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	estest.FoldsAll[lease.Lease](t, c)
}
