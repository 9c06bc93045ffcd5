package store

import (
	"errors"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A store that finds no space while it is opened says so at once, whichever write it is, and loses nothing by that: with space it opens.
func TestOpenOnAFullDiskSaysSo(t *testing.T) {
	t.Parallel()
	whole := vfs.NewMem()
	s, err := Open(Config{Dir: "data", FS: whole})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if res := s.Do(simple("a")); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, kept := range map[string]*vfs.MemFS{"a store": whole, "none yet": vfs.NewMem()} {
		refused := 0
		for opened := false; !opened; {
			disk := copied(t, kept)
			last := int64(refused)
			filling := fillingDisk{at: last + 1}
			filling.armed.Store(true)
			s, err := Open(Config{Dir: "data", FS: errorfs.Wrap(disk, &filling)})
			if opened = err == nil; opened {
				filling.free()
				if err := s.Close(); err != nil {
					t.Errorf("%s: close: %v", name, err)
				}
			} else if refused++; !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: no space from write %d on: %v", name, last+1, err)
			}
			after := copied(t, disk)
			filling.free() // what goes on of the first store ends
			if s, err = Open(Config{Dir: "data", FS: after}); err != nil {
				t.Fatalf("%s: with space again, after it had room for %d writes: %v", name, last, err)
			}
			if n := len(contents(t, s)); name == "a store" && n != 11 {
				t.Errorf("%s: %d events after it had room for %d writes, want 11", name, n, last)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if refused == 0 {
			t.Errorf("%s: the disk was never full", name)
		}
		t.Logf("%s: refused %d times", name, refused)
	}
}

// copied is a disk of the same content, on which nothing is locked.
func copied(t *testing.T, disk *vfs.MemFS) *vfs.MemFS {
	t.Helper()
	to := vfs.NewMem()
	if _, err := disk.Stat("data"); err != nil {
		return to
	}
	if _, err := vfs.Clone(disk, to, "data", "data", vfs.CloneSync); err != nil {
		t.Fatal(err)
	}
	return to
}
