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
	m := &making{make: func(_ context.Context, subjects []string) (map[string]known, error) {
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
	}}
	ask := func(waiting int, subject string) {
		all.Go(func() {
			made, err := m.do(t.Context(), []string{subject})
			if bad := subject == "bad"; bad != errors.Is(err, broken) || !bad && made[subject].id != "key of "+subject {
				t.Errorf("%s: %v, %v", subject, made, err)
			}
		})
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			m.mu.Lock()
			n, busy := len(m.queue), m.busy
			m.mu.Unlock()
			if busy && n == waiting {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d wait", subject, n)
			}
		}
	}
	ask(0, "first")
	for i, subject := range []string{"c", "a", "c", "b"} {
		ask(i+1, subject)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := m.do(gone, []string{"d"}); !errors.Is(err, context.Canceled) {
		t.Errorf("who does not wait any more was told %v", err)
	}
	gate <- struct{}{}
	all.Wait()
	if len(ran) != 2 || !slices.Equal(ran[1], []string{"a", "b", "c", "d"}) {
		t.Errorf("made together: %v", ran)
	}
	ran = nil
	ask2 := []*wanted{
		{subjects: []string{"a"}, done: make(chan struct{})}, {subjects: []string{"bad"}, done: make(chan struct{})},
	}
	m.run(t.Context(), ask2)
	if ask2[0].err != nil || ask2[0].made["a"].id != "key of a" || !errors.Is(ask2[1].err, broken) || len(ran) != 3 {
		t.Errorf("%v, %v: %v", ask2[0].err, ask2[1].err, ran)
	}
}
