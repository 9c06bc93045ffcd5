package deployment_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

func TestBegin(t *testing.T) {
	t.Parallel()
	c, err := es.NewCatalog(deployment.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	begin := func(name string) uint64 {
		t.Helper()
		at, err := deployment.Begin(t.Context(), store, store, c, name)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if at := begin("placement"); at != 0 {
		t.Errorf("on an empty store it begins at %d", at)
	}
	if at := begin("payments"); at != 1 {
		t.Errorf("the next one begins at %d", at)
	}
	if at := begin("placement"); at != 0 {
		t.Errorf("asked again it begins at %d", at)
	}
	if n := len(store.All(0)); n != 2 {
		t.Errorf("%d events", n)
	}
}

// TestBeginAtOnce: many processes start on a busy store, appends fail or succeed without saying so: all begin where
// the stream says.
func TestBeginAtOnce(t *testing.T) {
	t.Parallel()
	c, err := es.NewCatalog(deployment.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	var mu sync.Mutex
	unknown := 3
	store.Fail(memory.Faults{AfterAppend: func(context.Context, es.StreamID, es.Expected, []es.Proposed) error {
		mu.Lock()
		defer mu.Unlock()
		if unknown--; unknown >= 0 {
			return es.ErrUnknownOutcome
		}
		return nil
	}})
	var all sync.WaitGroup
	at := make([]uint64, 8)
	for i := range at {
		all.Go(func() {
			if i%2 == 0 {
				if _, err := deployment.Begin(t.Context(), store, store, c, fmt.Sprintf("other%d", i)); err != nil {
					t.Error(err)
				}
			}
			var err error
			if at[i], err = deployment.Begin(t.Context(), store, store, c, "placement"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, p := range at {
		if p != at[0] {
			t.Fatalf("they begin at %v", at)
		}
	}
	n := 0
	for _, r := range store.All(0) {
		if r.Stream.Key == "placement" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("deployed %d times", n)
	}
}
