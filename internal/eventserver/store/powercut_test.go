package store

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var cutRounds = flag.Int("powercuts", 0, "simulated power cuts; default 1,000, with DAYBOOK_LONG set 100,000")

func powerCuts() int {
	switch {
	case *cutRounds > 0:
		return *cutRounds
	case os.Getenv("DAYBOOK_LONG") != "":
		return 100_000
	}
	return 1000
}

// shown is all that was answered or shown outside the store, over all lives of one data directory. After a power cut it
// must all still be true.
type shown struct {
	mu      sync.Mutex
	cut     bool              // the power is off: what is answered now is not heard
	events  map[uint64]string // position → event
	heads   map[string]int64  // stream → highest revision that an answer gave away
	tombs   map[string]bool
	problem error
}

func newShown() *shown {
	return &shown{events: map[uint64]string{}, heads: map[string]int64{}, tombs: map[string]bool{}}
}

func (w *shown) fail(format string, args ...any) {
	if w.problem == nil {
		w.problem = fmt.Errorf(format, args...)
	}
}

func eventText(stream string, revision uint64, id ID) string {
	return fmt.Sprintf("%s/%d/%x", stream, revision, id)
}

func (w *shown) event(position uint64, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return
	}
	if before, ok := w.events[position]; ok && before != text {
		w.fail("position %d was shown as %s, now as %s", position, before, text)
	}
	w.events[position] = text
}

func (w *shown) head(stream string, revision int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.cut {
		w.heads[stream] = max(w.heads[stream], revision)
	}
}

func (w *shown) tomb(stream string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.cut {
		w.tombs[stream] = true
	}
}

// life runs clients against a store until the power is cut, and returns the disk as the cut left it.
type life struct {
	t     *testing.T
	rng   *rand.Rand
	dice  *rand.Rand // for the cut, which happens in any goroutine
	disk  *vfs.MemFS
	shown *shown
	after int64 // file operations until the cut
	ops   atomic.Int64
	left  *vfs.MemFS
	off   chan struct{}
}

func (l *life) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileRead, errorfs.OpFileReadAt, errorfs.OpGetDiskUsage, errorfs.OpStat, errorfs.OpList:
		return nil
	}
	if l.ops.Add(1) == l.after {
		l.cutNow()
	}
	return nil
}

func (l *life) String() string { return "power cut" }

func (l *life) cutNow() {
	l.shown.mu.Lock()
	defer l.shown.mu.Unlock()
	if l.left != nil {
		return
	}
	cfg := vfs.CrashCloneCfg{RNG: l.dice}
	cfg.UnsyncedDataPercent = []int{0, 10, 50, 90, 100}[l.dice.IntN(5)]
	l.left = l.disk.CrashClone(cfg)
	l.shown.cut = true
	close(l.off)
}

func (l *life) config(fs vfs.FS) Config {
	return Config{Dir: "data", FS: fs, MemTableBytes: 16 << 10, CacheBytes: 1 << 20, sparesSoon: l.rng.IntN(2) == 0}
}

var cutStreams = []string{"a", "b", "c", "order-1", "$$a"}

func (l *life) run() {
	cfg := l.config(errorfs.Wrap(l.disk, l))
	s, err := Open(cfg)
	if err != nil {
		if l.left == nil {
			l.t.Fatalf("open: %v", err)
		}
		return
	}
	defer func() {
		if err := s.Close(); err != nil {
			l.t.Errorf("close: %v", err)
		}
	}()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Add(2)
		rng := rand.New(rand.NewPCG(l.rng.Uint64(), uint64(i)))
		go func() { defer wg.Done(); l.write(s, rng) }()
		go func() { defer wg.Done(); l.read(s, i) }()
	}
	wg.Wait()
}

func (l *life) over() bool {
	select {
	case <-l.off:
		return true
	default:
		return false
	}
}

func (l *life) write(s *Store, rng *rand.Rand) {
	src := &Source{}
	var last *Request
	for n := 0; !l.over(); n++ {
		if n > 20_000 {
			l.shown.mu.Lock()
			l.shown.fail("the power was never cut: %d file operations", l.ops.Load())
			l.shown.mu.Unlock()
			l.cutNow()
			return
		}
		r := &Request{Stream: cutStreams[rng.IntN(len(cutStreams))], Expected: Expected(rng.IntN(8) - 2)}
		switch k := rng.IntN(100); {
		case k < 15 && last != nil:
			r = &Request{Kind: last.Kind, Stream: last.Stream, Expected: last.Expected, Events: last.Events}
		case k < 18:
			r.Kind, r.Expected = SoftDelete, ExpectAny
		case k < 19:
			r.Kind, r.Stream, r.Expected = Tombstone, fmt.Sprintf("tomb-%d", rng.IntN(3)), ExpectAny
		default:
			if k < 60 {
				l.shown.mu.Lock()
				r.Expected = Expected(l.shown.heads[r.Stream])
				l.shown.mu.Unlock()
			}
			for range 1 + rng.IntN(4) {
				e := Event{Type: "t", JSON: true, Data: make([]byte, rng.IntN(400))}
				binary.BigEndian.PutUint64(e.ID[:], rng.Uint64())
				binary.BigEndian.PutUint64(e.ID[8:], rng.Uint64())
				r.Events = append(r.Events, e)
			}
		}
		done := make(chan Result, 1)
		r.Done = func(res Result) { done <- res }
		s.Submit(src, r)
		res := <-done
		var wrong *WrongVersionError
		switch {
		case res.Err == nil && r.Kind == Append:
			n := len(r.Events)
			for i, e := range r.Events {
				revision := res.Revision - int64(n-1-i)
				l.shown.event(res.Position-uint64(n-1-i), eventText(r.Stream, uint64(revision), e.ID))
			}
			l.shown.head(r.Stream, res.Revision)
			last = r
		case errors.As(res.Err, &wrong):
			l.shown.head(r.Stream, wrong.Current)
		case errors.Is(res.Err, ErrDeleted), res.Err == nil && r.Kind == Tombstone:
			l.shown.tomb(r.Stream)
		}
	}
}

func (l *life) read(s *Store, i int) {
	ctx := context.Background()
	w := s.Watch("")
	defer w.Close()
	from := uint64(1)
	for !l.over() {
		var err error
		visit := func(r *Record) bool {
			l.shown.event(r.Position, eventText(string(r.Stream), r.Revision, r.ID))
			return true
		}
		switch i {
		case 0: // a subscriber to all
			err = s.ReadAll(from, func(r *Record) bool { from = r.Position + 1; return visit(r) })
		case 1:
			n := 0
			err = s.ReadAllBackwards(1<<63, func(r *Record) bool { n++; return visit(r) && n < 20 })
		default:
			var v View
			if v, err = s.View(ctx, cutStreams[i]); err == nil {
				l.shown.head(cutStreams[i], v.Last)
				n := 0
				err = s.ReadStreamBackwards(v, v.Last, func(r *Record) bool { n++; return visit(r) && n < 20 })
			}
		}
		if err != nil {
			l.shown.mu.Lock()
			l.shown.fail("reader %d: %w", i, err)
			l.shown.mu.Unlock()
			return
		}
		select {
		case <-w.C:
		case <-l.off:
		}
	}
}

// check opens what the cut left and compares it with all that was ever shown.
func (w *shown) check(fs *vfs.MemFS) error {
	if w.problem != nil {
		return w.problem
	}
	w.cut = false
	s, err := Open(Config{Dir: "data", FS: fs, CacheBytes: 1 << 20})
	if err != nil {
		return fmt.Errorf("open after the cut: %w", err)
	}
	defer s.Close()
	var created int64
	last := map[string]int64{}
	dead := map[string]bool{}
	found := map[uint64]string{}
	err = s.ReadAll(0, func(r *Record) bool {
		stream := string(r.Stream)
		if r.Created < created {
			w.fail("created goes back at position %d", r.Position)
		}
		created = r.Created
		before, ok := last[stream]
		if !ok {
			before = -1
		}
		switch {
		case r.Revision == TombstoneRevision:
			dead[stream] = true
		case int64(r.Revision) != before+1:
			w.fail("stream %s goes from revision %d to %d", stream, before, r.Revision)
		default:
			last[stream] = int64(r.Revision)
		}
		found[r.Position] = eventText(stream, r.Revision, r.ID)
		w.event(r.Position, found[r.Position]) // it is shown now: no later life may have anything else there
		return true
	})
	if err != nil {
		return err
	}
	for position, text := range w.events {
		if found[position] != text {
			return fmt.Errorf("position %d was shown as %s and is now %q", position, text, found[position])
		}
	}
	for stream, revision := range w.heads {
		if n, ok := last[stream]; ok && n < revision || !ok && revision >= 0 && len(found) > 0 && revision > 0 {
			return fmt.Errorf("stream %s was shown at revision %d and now ends at %d", stream, revision, n)
		}
	}
	for stream := range w.tombs {
		if !dead[stream] {
			return fmt.Errorf("stream %s was shown as ended and is not", stream)
		}
	}
	for stream, n := range last {
		v, err := s.View(context.Background(), stream)
		if err != nil || v.Last != n {
			return fmt.Errorf("stream %s ends at %d, its head says %d (%w)", stream, n, v.Last, err)
		}
		next := v.First
		if err := s.ReadStream(v, 0, func(r *Record) bool { next = int64(r.Revision) + 1; return true }); err != nil || v.Exists && next != n+1 {
			return fmt.Errorf("stream %s read up to %d of %d: %w", stream, next-1, n, err)
		}
	}
	return w.problem
}

// cuts runs lives of one directory after another, each ended by a power cut, and returns the first thing that is wrong.
func cuts(t *testing.T, seed uint64, lives int) (survived int, events int, err error) {
	rng := rand.New(rand.NewPCG(seed, 42))
	disk, w := vfs.NewCrashableMem(), newShown()
	for i := range lives {
		l := &life{t: t, rng: rng, dice: rand.New(rand.NewPCG(rng.Uint64(), 7)), disk: disk, shown: w, after: 1 + rng.Int64N(150), off: make(chan struct{})}
		l.run()
		disk = l.left
		if err := w.check(disk); err != nil {
			return i, len(w.events), fmt.Errorf("seed %d, life %d, cut at file operation %d: %w", seed, i, l.after, err)
		}
	}
	return lives, len(w.events), nil
}

func TestPowerCuts(t *testing.T) {
	t.Parallel()
	const lives = 10
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("POWERCUT_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatal(err)
		}
	}
	total, events := 0, 0
	first, rounds := seed, powerCuts()
	for total < rounds {
		n, e, err := cuts(t, seed, min(lives, rounds-total))
		total, events = total+n, events+e
		if err != nil {
			t.Fatal(err)
		}
		seed++
	}
	t.Logf("%d power cuts survived, %d events shown before one, from POWERCUT_SEED=%d on", total, events, first)
}
