package es_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// The aggregate of these tests: a tally that adds up to at most Limit, and remembers what was added.

type Added struct {
	Tag  string `json:"tag"`
	N    int    `json:"n"`
	Text string `json:"text,omitempty"`
}

func (Added) EventType() string { return "tally.added" }

// Poison cannot be folded.
type Poison struct{}

func (Poison) EventType() string { return "tally.poison" }

// Stray belongs in another category.
type Stray struct{}

func (Stray) EventType() string { return "stray.happened" }

type Tally struct {
	Sum  int
	Tags map[string]int
}

func (*Tally) Category() string { return "tally" }

func (t *Tally) Evolve(e es.Event) {
	switch e := e.(type) {
	case Added:
		if t.Tags == nil {
			t.Tags = map[string]int{}
		}
		t.Tags[e.Tag]++
		t.Sum += e.N
	default:
		es.Unknown(e)
	}
}

const limit es.Code = "tally_limit"

// Add adds N Times times, up to Limit. N = 0 is nothing to do.
type Add struct {
	K     string
	Tag   string
	N     int
	Limit int
	Times int
	Text  string
}

func (Add) CommandType() string { return "tally.add" }
func (a Add) Key() string       { return a.K }
func (a Add) Decide(t Tally) ([]es.Event, error) {
	if a.N == 0 {
		return es.Nothing()
	}
	if a.Limit > 0 && t.Sum+a.N > a.Limit {
		return es.Reject(limit, "%d and %d are more than %d", t.Sum, a.N, a.Limit)
	}
	var facts []es.Event
	for range max(a.Times, 1) {
		facts = append(facts, Added{Tag: a.Tag, N: a.N, Text: a.Text})
	}
	return facts, nil
}

// Decide is a command made of a function.
type Decide struct {
	K  string
	N_ int
	F  func(Tally) ([]es.Event, error)
}

func (Decide) CommandType() string                  { return "tally.decide" }
func (d Decide) Key() string                        { return d.K }
func (d Decide) N() int                             { return d.N_ }
func (d Decide) Decide(t Tally) ([]es.Event, error) { return d.F(t) }
func facts(events ...es.Event) func(Tally) ([]es.Event, error) {
	return func(Tally) ([]es.Event, error) { return events, nil }
}

func catalog(t testing.TB) *es.Catalog {
	t.Helper()
	c, err := es.NewCatalog([]es.Definition{es.Define[Added](1), es.Define[Poison](1), es.Define[Stray](1)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fixture is a store and a handler on it.
type fixture struct {
	testing.TB

	store *memory.Store
	h     *es.Handler
	now   time.Time
	clock sync.Mutex
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func begin(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{TB: t, store: memory.New(), now: start}
	f.store.Now = f.time
	f.store.Step = 2
	f.h = f.handler()
	t.Cleanup(func() {
		if _, err := waitIdle(f.h); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	return f
}

// handler is another process on the same store.
func (f *fixture) handler() *es.Handler { return es.NewHandler(f.store, catalog(f), f.time) }

func (f *fixture) time() time.Time {
	f.clock.Lock()
	defer f.clock.Unlock()
	return f.now
}

func (f *fixture) pass(d time.Duration) {
	f.clock.Lock()
	defer f.clock.Unlock()
	f.now = f.now.Add(d)
}

func id(parts ...any) es.UUID { return es.DerivedID(es.UUID{1}, parts...) }

func (f *fixture) do(d es.Decision[Tally], call es.Call) (es.Receipt, error) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
	defer cancel()
	return es.Handle(ctx, f.h, d, call)
}

func (f *fixture) must(d es.Decision[Tally], call es.Call) es.Receipt {
	f.Helper()
	r, err := f.do(d, call)
	if err != nil {
		f.Fatalf("%s: %v", d.CommandType(), err)
	}
	return r
}

func (f *fixture) fails(want error, d es.Decision[Tally], call es.Call) {
	f.Helper()
	if r, err := f.do(d, call); !errors.Is(err, want) {
		f.Errorf("%s: %+v, %v; want %v", d.CommandType(), r, err, want)
	}
}

// events is what a tally's stream holds.
func (f *fixture) events(key string) []es.Recorded {
	f.Helper()
	var out []es.Recorded
	for r, err := range f.store.Read(f.Context(), es.StreamID{Category: "tally", Key: key}, 0) {
		if err != nil {
			f.Fatal(err)
		}
		e, err := f.h.Catalog().Open(r)
		if err != nil {
			f.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// tags says how often each tag is in a stream.
func (f *fixture) tags(key string) map[string]int {
	f.Helper()
	out := map[string]int{}
	for _, e := range f.events(key) {
		out[e.Event.(Added).Tag]++
	}
	return out
}

// reply is what came of a command sent in the background.
type reply struct {
	receipt es.Receipt
	err     error
}

func (f *fixture) send(ctx context.Context, d es.Decision[Tally], call es.Call) <-chan reply {
	out, h := make(chan reply, 1), f.h
	go func() {
		r, err := es.Handle(ctx, h, d, call)
		out <- reply{r, err}
	}()
	return out
}

// behind lets commands queue up behind an append that is under way, so that they are decided as one batch, in
// the order given. It gives their replies in that order.
func (f *fixture) behind(key string, commands ...func() <-chan reply) []reply {
	f.Helper()
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.store.Fail(memory.Faults{BeforeAppend: func(context.Context, es.StreamID, es.Expected, []es.Proposed) error {
		once.Do(func() { close(entered); <-release })
		return nil
	}})
	first := f.send(f.Context(), Add{K: key, Tag: "first", N: 1}, es.Call{ID: id("first", key, f.time())})
	<-entered
	var replies []<-chan reply
	for i, c := range commands {
		replies = append(replies, c())
		for es.Queued[Tally](f.h, es.StreamID{Category: "tally", Key: key}) < i+1 {
			time.Sleep(50 * time.Microsecond) // until it is in the queue
		}
	}
	close(release)
	out := make([]reply, 0, len(replies))
	for _, r := range replies {
		out = append(out, <-r)
	}
	if r := <-first; r.err != nil {
		f.Fatalf("the command before the batch: %v", r.err)
	}
	f.store.Fail(memory.Faults{})
	return out
}

func (f *fixture) queue(d es.Decision[Tally], call es.Call) func() <-chan reply {
	return func() <-chan reply { return f.send(f.Context(), d, call) }
}

func tag(i int) string { return fmt.Sprintf("t%d", i) }

func pauseABit() { time.Sleep(50 * time.Microsecond) }

// waitIdle waits until no lane has users: leaders leave a moment after their last answer.
func waitIdle(h *es.Handler) (n int, err error) {
	for range 30_000 {
		if n, err = es.CheckLanes(h); err == nil {
			return n, nil
		}
		time.Sleep(time.Millisecond)
	}
	return n, err
}
