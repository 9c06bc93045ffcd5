package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// filled is a data directory with some of everything: tables on several levels, a log with a tail, metadata.
func filled(t *testing.T) (fs *vfs.MemFS, want map[uint64]string) {
	t.Helper()
	fs = vfs.NewMem()
	s, err := Open(Config{Dir: "data", FS: fs, MemTableBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 400 {
		r := Request{Stream: fmt.Sprintf("s-%d", i%20), Expected: ExpectAny}
		for range 1 + i%3 {
			e := Event{ID: newID(), Type: "t", Data: make([]byte, 100+rng.IntN(800))}
			for j := range e.Data {
				e.Data[j] = byte(rng.Uint32())
			}
			r.Events = append(r.Events, e)
		}
		if res := s.Do(r); res.Err != nil {
			t.Fatal(res.Err)
		}
		if i == 300 {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	want = contents(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return fs, want
}

func contents(t *testing.T, s *Store) map[uint64]string {
	t.Helper()
	all := map[uint64]string{}
	if err := s.ReadAll(0, func(r *Record) bool { all[r.Position] = recordText(r); return true }); err != nil {
		t.Fatal(err)
	}
	return all
}

func recordText(r *Record) string {
	return fmt.Sprintf("%s/%d/%x/%s/%x/%x/%d", r.Stream, r.Revision, r.ID, r.Type, r.Data, r.Meta, r.Created)
}

func copyFS(t *testing.T, from *vfs.MemFS) (*vfs.MemFS, []string) {
	t.Helper()
	to := vfs.NewMem()
	if err := to.MkdirAll("data", 0o755); err != nil {
		t.Fatal(err)
	}
	names, err := from.List("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		write(t, to, n, read(t, from, n))
	}
	return to, names
}

func read(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open("data/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create("data/"+name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(append([]byte(nil), b...)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// examine reads everything there is, both ways, and tells whether the damage was noticed; it fails the test if
// anything is served that was not written, or silently left out.
func examine(t *testing.T, what string, fs *vfs.MemFS, want map[uint64]string) (noticed bool) {
	t.Helper()
	s, err := Open(Config{Dir: "data", FS: fs})
	if err != nil {
		return true
	}
	defer s.Close()
	n := 0
	err = s.ReadAll(0, func(r *Record) bool {
		if want[r.Position] != recordText(r) {
			t.Errorf("%s: position %d is served as something else", what, r.Position)
		}
		n++
		return true
	})
	if err != nil {
		return true
	}
	if n != len(want) {
		t.Errorf("%s: %d of %d events are served, and no error", what, n, len(want))
	}
	served := 0
	for i := range 20 {
		v, err := s.View(context.Background(), fmt.Sprintf("s-%d", i))
		if err == nil {
			err = s.ReadStream(v, 0, func(r *Record) bool {
				if want[r.Position] != recordText(r) {
					t.Errorf("%s: revision %d of %s is served as something else", what, r.Revision, r.Stream)
				}
				served++
				return true
			})
		}
		if err != nil {
			return true
		}
	}
	if served != len(want)-1 { // but the incarnation
		t.Errorf("%s: streams serve %d of %d events, and no error", what, served, len(want)-1)
	}
	return false
}

// skipped files hold nothing that is read back: the lock, and the options for people to look at.
func skipped(name string) bool { return name == "LOCK" || strings.HasPrefix(name, "OPTIONS-") }

var damages = flag.Int("damages", 150, "bits flipped")

func TestFlippedBits(t *testing.T) {
	t.Parallel()
	fs, want := filled(t)
	rng := rand.New(rand.NewPCG(3, 4))
	tried, noticed := 0, 0
	for range *damages {
		damaged, names := copyFS(t, fs)
		name := names[rng.IntN(len(names))]
		b := read(t, fs, name)
		if len(b) == 0 || skipped(name) {
			continue
		}
		at, bit := rng.IntN(len(b)), rng.IntN(8)
		b[at] ^= 1 << bit
		write(t, damaged, name, b)
		tried++
		if examine(t, fmt.Sprintf("%s: bit %d of byte %d of %d", name, bit, at, len(b)), damaged, want) {
			noticed++
		}
	}
	t.Logf("%d flipped bits, %d noticed, the rest harmless", tried, noticed)
}

func TestTruncatedFiles(t *testing.T) {
	t.Parallel()
	fs, want := filled(t)
	_, names := copyFS(t, fs)
	rng := rand.New(rand.NewPCG(5, 6))
	tried, noticed := 0, 0
	for _, name := range names {
		if skipped(name) {
			continue
		}
		whole := read(t, fs, name)
		for range 12 {
			if len(whole) == 0 {
				break
			}
			damaged, _ := copyFS(t, fs)
			n := rng.IntN(len(whole))
			write(t, damaged, name, whole[:n])
			tried++
			if examine(t, fmt.Sprintf("%s cut to %d of %d bytes", name, n, len(whole)), damaged, want) {
				noticed++
			}
		}
	}
	t.Logf("%d truncations, %d noticed, the rest harmless", tried, noticed)
}

func TestChecksumOfARecord(t *testing.T) {
	t.Parallel()
	e := &Event{ID: newID(), Type: "order.placed", JSON: true, Data: []byte(`{"n":1}`), Meta: []byte(`{}`)}
	b := appendRecord(nil, 7, 3, 99, "order-1", e)
	var r Record
	if err := decodeRecord(7, b, &r); err != nil || string(r.Stream) != "order-1" || r.Revision != 3 || string(r.Data) != `{"n":1}` {
		t.Fatalf("%+v %v", r, err)
	}
	if decodeRecord(8, b, &r) == nil {
		t.Error("a record under another position is accepted")
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if decodeRecord(7, b, &r) == nil {
				t.Errorf("bit %d of byte %d flipped is accepted", bit, i)
			}
			b[i] ^= 1 << bit
		}
	}
	for n := range b {
		if decodeRecord(7, b[:n], &r) == nil {
			t.Errorf("cut to %d bytes is accepted", n)
		}
	}
}
