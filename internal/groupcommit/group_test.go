package groupcommit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/groupcommit"
)

// log is what a group wrote, and lets its first batch wait.
type log struct {
	mu      sync.Mutex
	batches [][]string
	gate    chan struct{}
}

func (l *log) write(_ context.Context, items []string) error {
	if items[0] == "first" {
		<-l.gate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches = append(l.batches, slices.Clone(items))
	return nil
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// queue lets items wait behind a first one, in order.
func queue(t *testing.T, g *groupcommit.Group[string], items ...string) (outcome func() map[string]error) {
	t.Helper()
	var (
		mu   sync.Mutex
		all  sync.WaitGroup
		errs = map[string]error{}
	)
	for i, item := range append([]string{"first"}, items...) {
		all.Go(func() {
			err := g.Do(t.Context(), item)
			mu.Lock()
			defer mu.Unlock()
			errs[item] = err
		})
		until(t, item+" waits", func() bool { n, under := g.Waiting(); return under > 0 && n == i })
	}
	return func() map[string]error { all.Wait(); return errs }
}

func TestWhoComesMeanwhileIsWrittenTogetherInOrder(t *testing.T) {
	t.Parallel()
	l := &log{gate: make(chan struct{})}
	g := groupcommit.New(groupcommit.Config[string]{Write: l.write, Size: func(s string) int { return len(s) }, Most: 6})
	outcome := queue(t, g, "ccc", "aa", "b", "long as it is", "dd", "eeee", "f")
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := g.Do(gone, "gone"); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has gone gets %v", err)
	}
	close(l.gate)
	for item, err := range outcome() {
		if err != nil {
			t.Errorf("%s: %v", item, err)
		}
	}
	want := [][]string{{"first"}, {"ccc", "aa", "b"}, {"long as it is"}, {"dd", "eeee"}, {"f"}}
	if !slices.EqualFunc(l.batches, want, slices.Equal) {
		t.Errorf("written: %v, want %v", l.batches, want)
	}
	if n, under := g.Waiting(); n != 0 || under > 1 {
		t.Errorf("%d wait, %d are under way", n, under)
	}
}

// One that fails, or panics, fails alone; the others of its batch are written.
func TestNoneSuffersForAnother(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad")
	for name, beside := range map[string]int{"in the lane": 0, "beside": 2} {
		l := &log{gate: make(chan struct{})}
		g := groupcommit.New(groupcommit.Config[string]{Beside: beside, Write: func(ctx context.Context, items []string) error {
			if slices.Contains(items, "bad") {
				return bad
			}
			if slices.Contains(items, "worse") {
				panic("worse")
			}
			return l.write(ctx, items)
		}})
		outcome := queue(t, g, "a", "bad", "b", "worse")
		close(l.gate)
		for item, err := range outcome() {
			switch item {
			case "bad":
				if !errors.Is(err, bad) {
					t.Errorf("%s, bad: %v", name, err)
				}
			case "worse":
				if err == nil || !strings.Contains(err.Error(), "panic: worse") {
					t.Errorf("%s, worse: %v", name, err)
				}
			default:
				if err != nil {
					t.Errorf("%s, %s: %v", name, item, err)
				}
			}
		}
		if err := g.Alone(t.Context(), "bad"); !errors.Is(err, bad) {
			t.Errorf("%s, alone: %v", name, err)
		}
	}
}

// What one item comes to alone, and whether it is tried alone, the owner may say.
func TestASingleItemMayBeWrittenOtherwise(t *testing.T) {
	t.Parallel()
	held := errors.New("held")
	var ones []string
	g := groupcommit.New(groupcommit.Config[string]{
		Write: func(context.Context, []string) error { return held },
		One:   func(_ context.Context, item string) error { ones = append(ones, item); return nil },
		Again: func(_ int, err error) bool { return errors.Is(err, held) },
	})
	if err := g.Do(t.Context(), "a"); err != nil || !slices.Equal(ones, []string{"a"}) {
		t.Errorf("%v, written alone: %v", err, ones)
	}
}

// A second batch goes beside one that takes long, and no third.
func TestALongBatchDoesNotKeepOthersWaiting(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	var l log
	g := groupcommit.New(groupcommit.Config[string]{Lanes: 2, Patience: time.Millisecond, Write: func(ctx context.Context, items []string) error {
		if strings.HasPrefix(items[0], "slow") {
			<-gate
		}
		return l.write(ctx, items)
	}})
	var all sync.WaitGroup
	ask := func(item string) {
		all.Go(func() {
			if err := g.Do(t.Context(), item); err != nil {
				t.Error(err)
			}
		})
	}
	ask("slow 1")
	until(t, "the first is under way", func() bool { n, under := g.Waiting(); return n == 0 && under == 1 })
	if err := g.Do(t.Context(), "quick"); err != nil {
		t.Error(err)
	}
	ask("slow 2")
	until(t, "two are under way", func() bool { n, under := g.Waiting(); return n == 0 && under == 2 })
	ask("last")
	until(t, "one waits", func() bool { n, under := g.Waiting(); return n == 1 && under == 2 })
	close(gate)
	all.Wait()
}

// A batch ends when the last has gone who waits for it, and not before.
func TestABatchEndsWithItsLast(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan struct{}), make(chan error, 1)
	gate := make(chan struct{})
	g := groupcommit.New(groupcommit.Config[string]{Write: func(ctx context.Context, items []string) error {
		if items[0] == "first" {
			<-gate
			return nil
		}
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}})
	outcome := queue(t, g)
	one, leaveOne := context.WithCancel(t.Context())
	two, leaveTwo := context.WithCancel(t.Context())
	results := make(chan error, 2)
	go func() { results <- g.Do(one, "a") }()
	go func() { results <- g.Do(two, "b") }()
	until(t, "both wait", func() bool { n, _ := g.Waiting(); return n == 2 })
	close(gate)
	<-begun
	leaveOne()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that left gets %v", err)
	}
	select {
	case <-ended:
		t.Error("it ended with the first one")
	default:
	}
	leaveTwo()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-results
	outcome()
}
