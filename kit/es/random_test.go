package es_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// TestRandomFaults runs processes with several clients each against a store that fails in every way it may: before and
// after writing, late, for good and for a while. Every client repeats its command until it has an answer. Then each
// accepted command is recorded exactly once, as its answers said, and no rejected one does.
func TestRandomFaults(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for seed := range rounds {
		randomFaults(t, uint64(seed))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// faulty decides by chance what becomes of a call. Late appends reach the store when their caller has given up.
type faulty struct {
	*memory.Store

	mu   sync.Mutex
	rand *rand.Rand
	late sync.WaitGroup
}

var errRefused = errors.New("refused")

func (f *faulty) chance(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rand.IntN(n)
}

func (f *faulty) Append(ctx context.Context, s es.StreamID, at es.Expected, events []es.Proposed) (uint64, error) {
	switch f.chance(12) {
	case 0:
		return 0, es.ErrUnknownOutcome
	case 1:
		_, _ = f.Store.Append(ctx, s, at, events)
		return 0, fmt.Errorf("connection lost: %w", es.ErrUnknownOutcome)
	case 2:
		f.late.Go(func() {
			time.Sleep(time.Duration(f.chance(2000)) * time.Microsecond) // any time: it is not what is waited for
			_, _ = f.Direct(s, at, events)
		})
		return 0, context.DeadlineExceeded
	case 3:
		return 0, es.ErrUnavailable
	case 4:
		if f.chance(3) == 0 {
			return 0, errRefused
		}
	}
	return f.Store.Append(ctx, s, at, events)
}

var errUnreadable = errors.New("unreadable")

func randomFaults(t *testing.T, seed uint64) {
	const processes, clients, commands, streams = 2, 6, 8, 3
	r := rand.New(rand.NewPCG(seed, 7))
	store := &faulty{Store: memory.New(), rand: r}
	store.Fail(memory.Faults{BeforeRead: func(context.Context, es.StreamID, uint64) error {
		if store.chance(40) == 0 {
			return errUnreadable
		}
		return nil
	}})
	var handlers []*es.Handler
	for range processes {
		h := es.NewHandler(store, catalog(t), time.Now)
		h.Hold(store.chance(3) * 2000)
		handlers = append(handlers, h)
	}
	var mu sync.Mutex
	accepted := map[string]es.Receipt{} // by tag
	rejected := map[string]bool{}
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for n := range commands {
				// Two clients share each id, and ask different processes.
				name := fmt.Sprint(c/2, "-", n)
				key := strconv.Itoa(n % streams)
				add := Add{K: key, Tag: name, N: 1, Times: 1 + n%2, Limit: 12}
				call := es.Call{ID: id(name), Digest: []byte(name)}
				receipt, err := insist(t, store, handlers, add, call)
				mu.Lock()
				switch code := es.Rejected(err); {
				case code == limit:
					rejected[name] = true
				case err != nil:
					t.Errorf("%s: %v", name, err)
				default:
					if other, ok := accepted[name]; ok && (!cmp.Equal(other.Events, receipt.Events) || other.Revision != receipt.Revision) {
						t.Errorf("%s was answered with %+v and %+v", name, other, receipt)
					}
					accepted[name] = receipt
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	store.late.Wait()
	recorded := map[string][]es.UUID{}
	for _, raw := range store.All(0) {
		e, err := handlers[0].Catalog().Open(raw)
		if err != nil {
			t.Fatal(err)
		}
		name := e.Event.(Added).Tag
		recorded[name] = append(recorded[name], e.ID)
		if a := accepted[name]; a.Stream != raw.Stream || a.Revision < raw.Revision || a.Position < raw.Position {
			t.Errorf("%s is recorded at %s@%d (%d), the answer was %+v", name, raw.Stream, raw.Revision, raw.Position, a)
		}
	}
	for name, a := range accepted {
		if d := cmp.Diff(a.Events, recorded[name]); d != "" {
			t.Errorf("%s (-acknowledged +recorded):\n%s", name, d)
		}
		delete(recorded, name)
	}
	for name := range recorded {
		t.Errorf("%s is recorded and was not acknowledged (rejected: %v)", name, rejected[name])
	}
	for _, h := range handlers {
		if _, err := waitIdle(h); err != nil {
			t.Error(err)
		}
	}
}

// insist repeats a command, here and there, until the answer is one.
func insist(t *testing.T, store *faulty, handlers []*es.Handler, add Add, call es.Call) (es.Receipt, error) {
	for range 200 {
		h := handlers[store.chance(len(handlers))]
		ctx, cancel := t.Context(), func() {}
		if store.chance(4) == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(store.chance(3000))*time.Microsecond)
		}
		var receipt es.Receipt
		var sum uint64
		var err error
		if store.chance(2) == 0 {
			receipt, sum, err = es.HandleView(ctx, h, add, call, sumOf)
		} else {
			receipt, sum, err = es.HandlePreparedView(ctx, h, add.K, call, func(context.Context) (es.Decision[Tally], error) { return add, nil }, sumOf)
		}
		cancel()
		if err == nil && sum != receipt.Revision+1 { // every event adds one
			t.Errorf("%s: the answer at revision %d shows a sum of %d", add.Tag, receipt.Revision, sum)
		}
		switch {
		case err == nil || es.Rejected(err) != "":
			return receipt, err
		case errors.Is(err, es.ErrUnknownOutcome), errors.Is(err, es.ErrUnavailable), errors.Is(err, es.ErrConflict),
			errors.Is(err, errRefused), errors.Is(err, errUnreadable), errors.Is(err, context.DeadlineExceeded):
		default:
			return receipt, err
		}
	}
	return es.Receipt{}, errors.New("no answer after 200 tries")
}
