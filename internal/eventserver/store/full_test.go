package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// smallDisk is a disk that can be full: either the system says so in time, or a write finds out.
type smallDisk struct {
	vfs.FS

	avail atomic.Uint64
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.avail.Load()}, nil
}

// fillingDisk is full from one write on, whatever it is that Pebble writes then, counted once it is armed.
type fillingDisk struct {
	at          int64
	writes      atomic.Int64
	armed, full atomic.Bool
}

// free gives space again, for good.
func (d *fillingDisk) free() {
	d.armed.Store(false)
	d.full.Store(false)
}

func (d *fillingDisk) String() string { return "filling disk" }

func (d *fillingDisk) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpReuseForWrite, errorfs.OpLink, errorfs.OpRename, errorfs.OpFileWriteAt:
		if d.armed.Load() && d.writes.Add(1) == d.at {
			d.full.Store(true)
		}
		if d.full.Load() {
			return fmt.Errorf("write %s: %w", op.Path, syscall.ENOSPC)
		}
	}
	return nil
}

func simple(stream string) Request {
	return Request{Stream: stream, Expected: ExpectAny, Events: []Event{{ID: newID(), Type: "t", Data: make([]byte, 100)}}}
}

func TestNearlyFullDisk(t *testing.T) {
	t.Parallel()
	d := &smallDisk{FS: vfs.NewMem()}
	d.avail.Store(1 << 30)
	s, err := Open(Config{Dir: "data", FS: d})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if res := s.Do(simple("a")); res.Err != nil {
		t.Fatal(res.Err)
	}
	d.avail.Store(1 << 20)
	s.disk.checked.Store(0)
	if res := s.Do(simple("a")); !errors.Is(res.Err, ErrFull) {
		t.Errorf("append on a nearly full disk: %v", res.Err)
	}
	if n := len(contents(t, s)); n != 2 {
		t.Errorf("%d events are read, want 2", n)
	}
	d.avail.Store(1 << 30)
	s.disk.checked.Store(0)
	if res := s.Do(simple("a")); res.Err != nil || res.Position != 3 {
		t.Errorf("append when there is space again: %+v", res)
	}
}

// TestFullDisk lets each write in turn find the disk full, whatever it is that pebble writes then.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	stuck := 0
	for n := int64(1); n <= 60; n += 3 {
		mem := vfs.NewMem()
		disk := fillingDisk{at: n}
		fs := errorfs.Wrap(mem, &disk)
		s, err := Open(Config{Dir: "data", FS: fs, MemTableBytes: 16 << 10, patience: 10 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		disk.armed.Store(true)
		want := map[ID]bool{} // true: acknowledged, false: unknown
		var mu sync.Mutex
		var wg sync.WaitGroup
		var refused atomic.Int64
		for w := range 4 {
			wg.Go(func() {
				for i := 0; i < 1000 && refused.Load() == 0; i++ {
					r := simple(fmt.Sprintf("s-%d", w))
					res := s.Do(r)
					mu.Lock()
					switch {
					case res.Err == nil:
						want[r.Events[0].ID] = true
					case errors.Is(res.Err, ErrUnknown):
						want[r.Events[0].ID] = false
						refused.Add(1)
					case errors.Is(res.Err, ErrFull):
						refused.Add(1)
					default:
						t.Errorf("write %d: %v", n, res.Err)
						refused.Add(1)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if refused.Load() > 0 {
			stuck++
		}
		contents(t, s) // reads go on
		if _, err := s.View(t.Context(), "absent"); err != nil {
			t.Errorf("write %d: read on a full disk: %v", n, err)
		}
		disk.free()
		for { // by itself, soon
			r := simple("after")
			res := s.Do(r)
			if res.Err == nil {
				want[r.Events[0].ID] = true
				break
			}
			if !errors.Is(res.Err, ErrFull) && !errors.Is(res.Err, ErrUnknown) {
				t.Fatalf("write %d: append after space is back: %v", n, res.Err)
			}
			if errors.Is(res.Err, ErrUnknown) {
				want[r.Events[0].ID] = false
			}
		}
		check := func(when string) {
			got := map[ID]bool{}
			if err := s.ReadAll(0, func(r *Record) bool { got[r.ID] = true; return true }); err != nil {
				t.Fatal(err)
			}
			for id, acked := range want {
				if acked && !got[id] {
					t.Errorf("write %d, %s: an acknowledged event is missing", n, when)
				}
				delete(got, id)
			}
			if len(got) != 1 { // the incarnation
				t.Errorf("write %d, %s: %d events stand that were refused", n, when, len(got)-1)
			}
		}
		check("before a restart")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(Config{Dir: "data", FS: mem}); err != nil {
			t.Fatal(err)
		}
		check("after a restart")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if stuck == 0 {
		t.Error("the disk was never full")
	}
	t.Logf("the disk was full %d times", stuck)
}

// TestFailedSync: nothing of the batch may be shown or acknowledged, nothing more is written, reads go on.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			if broken.Load() {
				return syscall.EIO
			}
		}
		return nil
	}))
	s, err := Open(Config{Dir: "data", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if res := s.Do(simple("a")); res.Err != nil {
		t.Fatal(res.Err)
	}
	for range 3 {
		if res := s.Do(simple("hidden")); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	broken.Store(true)
	answers := make(chan Result, 4) // all in one batch
	for _, r := range []Request{simple("a"), simple("new"), metadata("hidden", `{"$tb":2}`), {Kind: Tombstone, Stream: "hidden", Expected: ExpectAny}} {
		r.Done = func(res Result) { answers <- res }
		s.queue.put(&Source{}, &r)
	}
	for range 4 {
		if res := <-answers; !errors.Is(res.Err, ErrUnknown) && !errors.Is(res.Err, ErrReadOnly) {
			t.Errorf("append whose sync failed: %+v", res)
		}
	}
	broken.Store(false)
	if res := s.Do(simple("b")); !errors.Is(res.Err, ErrReadOnly) {
		t.Errorf("append after a failed sync: %+v", res)
	}
	if got := contents(t, s); len(got) != 5 {
		t.Errorf("%d events are shown, want 5", len(got))
	}
	for stream, want := range map[string]int64{"a": 0, "new": -1, "hidden": 2} {
		v, err := s.View(context.Background(), stream)
		if err != nil || v.Last != want || v.First > 0 || v.Dead {
			t.Errorf("stream %s is shown as %+v, %v", stream, v, err)
		}
		n := int64(0)
		if err := s.ReadStream(v, 0, func(*Record) bool { n++; return true }); err != nil || n != want+1 {
			t.Errorf("stream %s shows %d events, %v", stream, n, err)
		}
	}
}

// TestCloseOnAFullDisk: closing does not wait for space; what was acknowledged is there afterwards.
func TestCloseOnAFullDisk(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	mem := vfs.NewMem()
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate) {
			return syscall.ENOSPC
		}
		return nil
	}))
	s, err := Open(Config{Dir: "data", FS: fs, patience: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if res := s.Do(simple("a")); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	full.Store(true)
	if res := s.Do(simple("a")); !errors.Is(res.Err, ErrUnknown) {
		t.Fatalf("append on a full disk: %+v", res)
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Errorf("close: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("closing hangs")
	}
	full.Store(false)
	left := vfs.NewMem() // the abandoned files are still locked, as they would not be in a new process
	if _, err := vfs.Clone(mem, left, "data", "data", vfs.CloneSync); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(Config{Dir: "data", FS: left}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if v, err := s.View(t.Context(), "a"); err != nil || v.Last != 9 && v.Last != 10 {
		t.Errorf("stream is shown as %+v, %v", v, err)
	}
}

// A scavenge that finds the disk full, at whichever write, says so or waits for space; it takes away only what was hidden.
func TestScavengeOnAFullDisk(t *testing.T) {
	t.Parallel()
	met := 0
	for n := int64(1); n <= 40; n += 3 {
		disk := fillingDisk{at: n}
		s, err := Open(Config{Dir: "data", FS: errorfs.Wrap(vfs.NewMem(), &disk), MemTableBytes: 16 << 10, patience: 10 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if res := s.Do(metadata("s", `{"$maxCount":20}`)); res.Err != nil {
			t.Fatal(res.Err)
		}
		for range 600 {
			if res := s.Do(simple("s")); res.Err != nil {
				t.Fatal(res.Err)
			}
		}
		disk.armed.Store(true)
		done := make(chan error, 1)
		go func() { _, err := s.Scavenge(t.Context()); done <- err }()
		for ended := false; !ended; {
			select {
			case err := <-done:
				if ended = true; err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, ErrUnknown) {
					t.Errorf("write %d: scavenge on a full disk: %v", n, err)
				}
			case <-time.After(5 * time.Millisecond):
				if s.disk.blocked.Load() > 0 && s.disk.full() { // it waits; readers do not
					if _, err := s.View(t.Context(), "s"); err != nil {
						t.Errorf("write %d: read while a scavenge waits: %v", n, err)
					}
					disk.full.Store(false)
				}
			}
		}
		if disk.writes.Load() >= n {
			met++
		}
		disk.free()
		for err = ErrFull; errors.Is(err, ErrFull) || errors.Is(err, ErrUnknown); _, err = s.Scavenge(t.Context()) {
		}
		if err != nil {
			t.Errorf("write %d: scavenge with space again: %v", n, err)
		}
		if v, err := s.View(t.Context(), "s"); err != nil || v.First != 580 || v.Last != 599 {
			t.Errorf("write %d: revisions %d to %d are shown, want 580 to 599 (%v)", n, v.First, v.Last, err)
		}
		if all := len(contents(t, s)); all != 22 { // with the metadata, and what the store begins with
			t.Errorf("write %d: $all has %d events", n, all)
		}
		if _, err := s.Verify(t.Context()); err != nil {
			t.Errorf("write %d: verify: %v", n, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("write %d: close: %v", n, err)
		}
	}
	if met < 5 {
		t.Errorf("the disk was found full %d times only", met)
	}
}
