package store

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func metadata(stream, json string) Request {
	return Request{Stream: "$$" + stream, Expected: ExpectAny, Events: []Event{{ID: newID(), Type: "$metadata", JSON: true, Data: []byte(json)}}}
}

func TestScavenge(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	now := time.Now()
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	cfg := Config{Dir: "data", FS: fs, Now: clock, MemTableBytes: 64 << 10}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	do := func(r Request) Result {
		t.Helper()
		res := s.Do(r)
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		return res
	}
	streams := []string{"whole", "count", "before", "age", "soft", "dead", "again"}
	for range 100 {
		for _, stream := range streams {
			do(simple(stream))
		}
	}
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	for range 3 {
		do(simple("age"))
	}
	do(metadata("count", `{"$maxCount":1}`))
	do(metadata("count", `{"$maxCount":5}`))
	do(metadata("before", `{"$tb":90}`))
	do(metadata("age", `{"$maxAge":60}`))
	do(Request{Kind: SoftDelete, Stream: "soft", Expected: ExpectAny})
	do(Request{Kind: Tombstone, Stream: "dead", Expected: ExpectAny})
	do(Request{Kind: SoftDelete, Stream: "again", Expected: ExpectAny})
	do(simple("again"))

	show := func() map[string]string {
		all := map[string]string{}
		for _, stream := range append(streams, "$$count", "$$again") {
			v, err := s.View(context.Background(), stream)
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(v.Exists, v.Dead, v.Last)
			if err := s.ReadStream(v, 0, func(r *Record) bool { text += fmt.Sprintf(" %d@%d", r.Revision, r.Position); return true }); err != nil {
				t.Fatal(err)
			}
			all[stream] = text
		}
		return all
	}
	before, visible := show(), s.Visible()
	got, err := s.Scavenge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// count 95, before 90, age 100, soft, dead and again 100 each; and the metadata that newer metadata replaced.
	if want := uint64(95 + 90 + 100 + 300 + 2); got.Events != want || got.Streams != 8 {
		t.Errorf("scavenged %+v, want %d events of 8 streams", got, want)
	}
	check := func(when string) {
		t.Helper()
		for stream, text := range show() {
			if text != before[stream] {
				t.Errorf("%s: %s shows %s, before %s", when, stream, text, before[stream])
			}
		}
		r, err := s.Verify(t.Context())
		if err != nil || r.Position != visible || r.Events != visible-got.Events {
			t.Errorf("%s: verify %+v %v; %d events of %d are left", when, r, err, visible-got.Events, visible)
		}
		n := uint64(0)
		if err := s.ReadAllBackwards(1<<62, func(*Record) bool { n++; return true }); err != nil || n != r.Events {
			t.Errorf("%s: backwards %d events, %v", when, n, err)
		}
	}
	check("after")
	if again, err := s.Scavenge(t.Context()); err != nil || again.Events != 0 {
		t.Errorf("a second scavenge took %+v %v", again, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	check("after a restart")
	if res := do(simple("soft")); res.Revision != 100 || res.Position != visible+1 {
		t.Errorf("append after a scavenge: %+v", res)
	}
}

// TestScavengeWhileReading: readers see each stream without holes while its past disappears.
func TestScavengeWhileReading(t *testing.T) {
	t.Parallel()
	s, err := Open(Config{Dir: "data", FS: vfs.NewMem(), MemTableBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if res := s.Do(metadata("s", `{"$maxCount":20}`)); res.Err != nil {
		t.Fatal(res.Err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	loop := func(f func() error) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := f(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	loop(func() error { return s.Do(simple("s")).Err })
	for _, back := range []bool{false, true} {
		loop(func() error {
			v, err := s.View(context.Background(), "s")
			if err != nil {
				return err
			}
			if back {
				return s.ReadStreamBackwards(v, v.Last, func(*Record) bool { return true })
			}
			return s.ReadStream(v, 0, func(*Record) bool { return true })
		})
	}
	loop(func() error { return s.ReadAll(1, func(*Record) bool { return true }) })
	taken := uint64(0)
	watch := s.Watch("s")
	defer watch.Close()
	for taken < 500 && !t.Failed() {
		<-watch.C
		got, err := s.Scavenge(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		taken += got.Events
	}
	close(stop)
	wg.Wait()
	if r, err := s.Verify(t.Context()); err != nil || taken == 0 {
		t.Errorf("verify %+v %v, %d taken", r, err, taken)
	}
}

// A step whose outcome was not known may come through while the next scavenge looks: then it goes on behind it.
func TestScavengeBesideAStepOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	s, err := Open(Config{Dir: "data", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if res := s.Do(metadata("s", `{"$maxCount":20}`)); res.Err != nil {
		t.Fatal(res.Err)
	}
	for range 100 {
		if res := s.Do(simple("s")); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	before, err := s.View(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Scavenge(t.Context()); err != nil || got.Events != 80 {
		t.Fatalf("%+v, %v", got, err)
	}
	var more Scavenged
	if err := s.scavengeSeen(t.Context(), before, &more); err != nil || more != (Scavenged{}) {
		t.Errorf("seen before another step came through: %+v, %v", more, err)
	}
	if v, err := s.View(t.Context(), "s"); err != nil || v.First != 80 || v.Last != 99 {
		t.Errorf("revisions %d to %d are shown (%v)", v.First, v.Last, err)
	}
}
