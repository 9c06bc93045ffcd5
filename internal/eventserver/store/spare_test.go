package store

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Logs are written over files of zeros. What was acknowledged is found in them after a power cut, and no spare file is left.
func TestSpareLogs(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	s, err := Open(Config{Dir: "data", FS: fs, MemTableBytes: 64 << 10, sparesSoon: true})
	if err != nil {
		t.Fatal(err)
	}
	for at := ExpectNoStream; s.disk.spare.used.Load() < 3; at++ {
		if at > 10_000 {
			t.Fatal("no spare log was ever used")
		}
		if r := s.Do(Request{Stream: "s", Expected: at, Events: []Event{{ID: newID(), Type: "t", Data: make([]byte, 600)}}}); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	want := contents(t, s)
	cut := fs.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, disk := range []*vfs.MemFS{cut, fs} {
		again, err := Open(Config{Dir: "data", FS: disk, MemTableBytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		got := contents(t, again)
		if len(got) != len(want) {
			t.Errorf("%d events of %d", len(got), len(want))
		}
		for position, text := range want {
			if got[position] != text {
				t.Fatalf("position %d is %q, want %q", position, got[position], text)
			}
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		names, err := disk.List("data")
		if err != nil || slices.Contains(names, spareName) {
			t.Errorf("left: %v %v", names, err)
		}
	}
}
