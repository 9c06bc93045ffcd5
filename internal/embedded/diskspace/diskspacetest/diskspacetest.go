// Package diskspacetest gives tests a small disk of their own, to be filled up.
package diskspacetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace"
)

// Mount gives an empty disk of some bytes, which everybody may enter. The test is skipped where this process may not mount one.
func Mount(t testing.TB, size uint64) string {
	t.Helper()
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skipf("%s needs root on Linux to mount a small disk of its own", t.Name())
	}
	dir, err := os.MkdirTemp("", "daybook-disk-*")
	if err != nil {
		t.Fatal(err)
	}
	if err := run("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=0755", size), "tmpfs", dir); err != nil {
		_ = os.Remove(dir)
		t.Skipf("%s cannot mount a small disk of its own: %v", t.Name(), err)
	}
	t.Cleanup(func() {
		// Children of a killed process let go of it a moment later.
		err := run("umount", dir)
		for began := time.Now(); err != nil && time.Since(began) < letGo; {
			err = run("umount", dir)
		}
		if err != nil {
			t.Error(err)
			_ = run("umount", "-l", dir)
		}
		_ = os.Remove(dir)
	})
	return dir
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil { //nolint:gosec // mount and umount
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// Inodes lets as many more files be made on the disk that Mount gave.
func Inodes(t testing.TB, disk string, more uint64) {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(disk, &s); err != nil {
		t.Fatal(err)
	}
	remount(t, disk, fmt.Sprintf("nr_inodes=%d", s.Files-s.Ffree+more))
}

// ReadOnly mounts the disk that Mount gave read-only, or for writing again. No file of it may be open for writing.
func ReadOnly(t testing.TB, disk string, readOnly bool) {
	t.Helper()
	how := "rw"
	if readOnly {
		how = "ro"
	}
	remount(t, disk, how)
}

func remount(t testing.TB, disk, how string) {
	t.Helper()
	if err := run("mount", "-o", "remount,"+how, disk); err != nil {
		t.Fatal(err)
	}
}

const letGo = 10 * time.Second

const fillerName = "filler"

// Fill leaves no more than some bytes free on the disk that Mount gave.
func Fill(t testing.TB, disk string, leave uint64) {
	t.Helper()
	free, err := diskspace.Free(disk)
	if err != nil {
		t.Fatal(err)
	}
	if free <= leave {
		return
	}
	f, err := os.OpenFile(filepath.Join(disk, fillerName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	zeros := make([]byte, 64<<10)
	for left := free - leave; left > 0; {
		n, err := f.Write(zeros[:min(left, uint64(len(zeros)))])
		left -= uint64(n) //nolint:gosec // not negative
		if err != nil {   // somebody else took the rest
			return
		}
	}
}

// Free takes away what Fill has written.
func Free(t testing.TB, disk string) {
	t.Helper()
	filler := filepath.Join(disk, fillerName)
	// A process that is being started holds the open files of its parent for a moment, and so what Fill had open: the space is given back at once.
	if err := errors.Join(os.Truncate(filler, 0), os.Remove(filler)); err != nil {
		t.Error(err)
	}
}
