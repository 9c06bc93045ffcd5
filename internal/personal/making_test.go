package personal

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// Who comes while keys are being made shares the next transaction, and does not suffer for another.
func TestKeysAreMadeTogether(t *testing.T) {
	t.Parallel()
	var (
		mu  sync.Mutex
		ran [][]string
		all sync.WaitGroup
	)
	gate, broken := make(chan struct{}), errors.New("broken")
	m := together(func(_ context.Context, subjects []string) (map[string]known, error) {
		if slices.Contains(subjects, "first") {
			<-gate
		}
		mu.Lock()
		ran = append(ran, subjects)
		mu.Unlock()
		if slices.Contains(subjects, "bad") {
			return nil, broken
		}
		made := map[string]known{}
		for _, s := range subjects {
			made[s] = known{id: "key of " + s}
		}
		return made, nil
	})
	do := func(ctx context.Context, subject string) (map[string]known, error) {
		w := &wanted{subjects: []string{subject}}
		if err := m.Do(ctx, w); err != nil {
			return nil, err
		}
		return w.made, nil
	}
	ask := func(waiting int, subject string) {
		all.Go(func() {
			made, err := do(t.Context(), subject)
			if bad := subject == "bad"; bad != errors.Is(err, broken) || !bad && made[subject].id != "key of "+subject {
				t.Errorf("%s: %v, %v", subject, made, err)
			}
		})
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			n, under := m.Waiting()
			if under > 0 && n == waiting {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d wait", subject, n)
			}
		}
	}
	ask(0, "first")
	for i, subject := range []string{"c", "a", "c", "b", "bad"} {
		ask(i+1, subject)
	}
	gate <- struct{}{}
	all.Wait()
	// One fails for all, and then each for itself.
	want := [][]string{{"first"}, {"a", "b", "bad", "c"}, {"c"}, {"a"}, {"c"}, {"b"}, {"bad"}}
	if !slices.EqualFunc(ran, want, slices.Equal) {
		t.Errorf("made together: %v, want %v", ran, want)
	}
}
