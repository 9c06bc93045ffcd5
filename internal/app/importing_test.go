package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace/diskspacetest"
	"github.com/daybook-dev/daybook/kit/runtime"

	"github.com/daybook-dev/daybook/imports/onlineretail"
)

const oneInvoice = onlineretail.Header + "\n536365,85123A,HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n"

// What is not a whole file of the kind is refused before a server is started or anything is recorded.
func TestOnlyWholeFilesAreImported(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.csv")
	for path, want := range map[string]string{dir: "is a directory", missing: "no such file"} {
		if _, err := ImportOnlineRetail(t.Context(), Config{Config: runtime.Config{DataDir: filepath.Join(dir, "data")}}, "", nil, path, "", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v was left behind %v", entries, err)
	}
}

// A file that another program writes to, or cuts, while it is read is not taken for a whole one.
func TestAFileThatChangesIsNotImported(t *testing.T) {
	for name, change := range map[string]func(*os.File) error{
		"it grows":   func(f *os.File) error { _, err := f.WriteString("x"); return err },
		"it shrinks": func(f *os.File) error { return f.Truncate(10) },
		"nothing":    nil,
	} {
		path := filepath.Join(t.TempDir(), "file.csv")
		if err := os.WriteFile(path, []byte(oneInvoice), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = unchanged(f, func() error {
			if _, err := onlineretail.Read(f); err != nil || change == nil {
				return err
			}
			return change(f)
		})
		if (err != nil) != (change != nil) {
			t.Errorf("%s: %v", name, err)
		}
		_ = f.Close()
	}
}

// The lines left out are in a whole file, or in none and the error names the disk: then the import can be run again.
func TestLinesLeftOutOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := diskspacetest.Mount(t, 4<<20)
	path := filepath.Join(disk, "rejects.csv")
	history := &onlineretail.History{Digest: "0123456789abcdef", Rejects: make([]onlineretail.Reject, 1000)}
	diskspacetest.Fill(t, disk, 0)
	if _, err := writeRejects(Config{}, history, path); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		t.Errorf("%d bytes are left", info.Size())
	}
	diskspacetest.Free(t, disk)
	if _, err := writeRejects(Config{}, history, path); err != nil {
		t.Errorf("with space: %v", err)
	}
}
