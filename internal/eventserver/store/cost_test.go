package store

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestHiddenEventsCostNothing: however many events a stream hides, reads of it and appends to it do not pay for them. The cost is
// the blocks that Pebble looks into, not time: the machine may be busy. A search among twice as many events looks into some more.
func TestHiddenEventsCostNothing(t *testing.T) {
	t.Parallel()
	const few, many = 500, 32_000
	const steps, blocksOfStep = 6, 12 // 2^6 times as many; a position and a record, in each of some files
	type hidden struct {
		name string
		with func(s *Store, later func(), stream string)
	}
	for _, h := range []hidden{
		{"$tb", func(s *Store, _ func(), stream string) { s.Do(metadata(stream, `{"$tb":9000000}`)) }},
		{"$maxCount", func(s *Store, _ func(), stream string) { s.Do(metadata(stream, `{"$maxCount":1}`)) }},
		{"$maxAge", func(s *Store, later func(), stream string) {
			s.Do(metadata(stream, `{"$maxAge":60}`))
			later()
			s.Do(simple(stream))
		}},
		{"$maxAge, all", func(s *Store, later func(), stream string) { s.Do(metadata(stream, `{"$maxAge":60}`)); later() }},
		{"deleted", func(s *Store, _ func(), stream string) {
			s.Do(Request{Kind: SoftDelete, Stream: stream, Expected: ExpectAny})
		}},
		{"tombstone", func(s *Store, _ func(), stream string) {
			s.Do(Request{Kind: Tombstone, Stream: stream, Expected: ExpectAny})
		}},
		{"scavenged", func(s *Store, _ func(), stream string) {
			s.Do(metadata(stream, `{"$maxCount":1}`))
			_, _ = s.Scavenge(context.Background())
		}},
	} {
		t.Run(h.name, func(t *testing.T) {
			var late atomic.Int64
			s, err := Open(Config{Dir: "data", FS: vfs.NewMem(), Now: func() time.Time { return time.Now().Add(time.Duration(late.Load())) }})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			fill := func(stream string, n int) {
				for n > 0 {
					batch := make([]Event, min(n, 1000))
					for i := range batch {
						batch[i] = Event{ID: newID(), Type: "t", Data: []byte("data")}
					}
					if res := s.Do(Request{Stream: stream, Expected: ExpectAny, Events: batch}); res.Err != nil {
						t.Fatal(res.Err)
					}
					n -= len(batch)
				}
			}
			streams := map[string]int{"few": few, "many": many}
			for stream, n := range streams {
				fill(stream, n)
				h.with(s, func() { late.Add(int64(time.Hour)) }, stream)
			}
			known := simple("many")
			for what, do := range map[string]func(stream string){
				"forwards": func(stream string) {
					v, err := s.View(context.Background(), stream)
					if err == nil {
						err = s.ReadStream(v, 0, func(*Record) bool { return true })
					}
					if err != nil {
						t.Error(err)
					}
				},
				"backwards": func(stream string) {
					v, err := s.View(context.Background(), stream)
					if err == nil {
						err = s.ReadStreamBackwards(v, math.MaxInt64, func(*Record) bool { return true })
					}
					if err != nil {
						t.Error(err)
					}
				},
				"a repeat": func(stream string) {
					r := known
					r.Stream, r.Expected = stream, 3
					s.Do(r)
				},
			} {
				few, many := s.cheapest(t, do, "few"), s.cheapest(t, do, "many")
				t.Logf("%s: %d and %d blocks", what, few, many)
				if many > few+steps*blocksOfStep {
					t.Errorf("%s: %d blocks with few hidden events, %d with many", what, few, many)
				}
			}
		})
	}
}

// cheapest is how many blocks are looked into, in files only, when nothing is written beside it.
func (s *Store) cheapest(t *testing.T, do func(stream string), stream string) (blocks int64) {
	t.Helper()
	if err := s.db.Flush(); err != nil { // what is in memory is in no block
		t.Fatal(err)
	}
	looked := func() int64 {
		c := s.db.Metrics().BlockCache
		return c.Hits + c.Misses
	}
	blocks = math.MaxInt64
	for range 10 {
		before := looked()
		do(stream)
		blocks = min(blocks, looked()-before)
	}
	return blocks
}
