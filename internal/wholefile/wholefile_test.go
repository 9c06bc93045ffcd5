package wholefile_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace/diskspacetest"
	"github.com/daybook-dev/daybook/internal/wholefile"
)

// A disk that fills up in the middle leaves the file that was there, and nothing beside it. With space the same call succeeds.
func TestFullDiskLeavesTheFileAsItWas(t *testing.T) {
	t.Parallel()
	disk := diskspacetest.Mount(t, 1<<20)
	file := filepath.Join(disk, "run.json")
	if err := wholefile.Write(file, []byte("before")); err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("after "), 30_000)
	diskspacetest.Fill(t, disk, 64<<10)
	err := wholefile.Write(file, large)
	if path, ok := errors.AsType[*os.PathError](err); !errors.Is(err, syscall.ENOSPC) || !ok || filepath.Dir(path.Path) != disk {
		t.Errorf("a full disk: %v", err)
	}
	holds(t, file, "before")
	diskspacetest.Free(t, disk)
	if err := wholefile.Write(file, large); err != nil {
		t.Error(err)
	}
	holds(t, file, string(large))
}

// What a killed process left is not taken for the file, and does not stop the next one.
func TestKilledWriterLeavesNoFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rejects.csv")
	if err := os.WriteFile(file+wholefile.Suffix, bytes.Repeat([]byte("torn"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Write(file, []byte("whole")); err != nil {
		t.Fatal(err)
	}
	holds(t, file, "whole")
}

func TestErrorOfTheContentLeavesNoFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "backup.tar")
	broken := errors.New("cut short")
	err := wholefile.Fill(file, func(w io.Writer) error {
		_, err := io.WriteString(w, "half")
		return errors.Join(err, broken)
	})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// A device or a pipe is no file that could be replaced.
func TestDevicesAreWrittenThrough(t *testing.T) {
	t.Parallel()
	if err := wholefile.Write(os.DevNull, []byte("gone")); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s is %v now, %v", os.DevNull, info, err)
	}
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Write(link, []byte("linked")); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().IsRegular() {
		t.Errorf("the link was replaced: %v %v", info, err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "linked" { //nolint:gosec // ours
		t.Errorf("%q %v", b, err)
	}
}

// holds fails the test unless the file has a content, and nothing half made is beside it.
func holds(t *testing.T, file, content string) {
	t.Helper()
	if b, err := os.ReadFile(file); err != nil || string(b) != content { //nolint:gosec // ours
		t.Errorf("%d bytes, %v; want %d", len(b), err, len(content))
	}
	if _, err := os.Stat(file + wholefile.Suffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s%s is left: %v", file, wholefile.Suffix, err)
	}
}
