package standalone_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace/diskspacetest"
	"github.com/daybook-dev/daybook/internal/eventserver/standalone"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// A target that takes no more, be it for want of bytes, of files or of leave to write, ends a backup and a restore with an error that names
// it. Nothing is left there that could be taken for a backup or a store, and the same command succeeds afterwards.
func TestTargetThatTakesNoMore(t *testing.T) {
	t.Parallel()
	source := filepath.Join(t.TempDir(), "source")
	if _, err := eventserver.Import(t.Context(), strings.NewReader(""), source, store.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(t.TempDir(), "good.tar")
	if _, err := standalone.Backup(t.Context(), standalone.Directory(source), good, nil); err != nil {
		t.Fatal(err)
	}
	disk := diskspacetest.Mount(t, 256<<20)
	backup := func(to string) func() error {
		return func() error {
			_, err := standalone.Backup(t.Context(), standalone.Directory(source), to, nil)
			return err
		}
	}
	for n, c := range []struct {
		why           error
		break_, mend_ func()
	}{
		{syscall.ENOSPC, func() { diskspacetest.Fill(t, disk, 0) }, func() { diskspacetest.Free(t, disk) }},
		{syscall.ENOSPC, func() { diskspacetest.Fill(t, disk, 4<<10) }, func() { diskspacetest.Free(t, disk) }},
		{syscall.ENOSPC, func() { diskspacetest.Inodes(t, disk, 0) }, func() { diskspacetest.Inodes(t, disk, 10_000) }},
		{syscall.EROFS, func() { diskspacetest.ReadOnly(t, disk, true) }, func() { diskspacetest.ReadOnly(t, disk, false) }},
	} {
		archive, dir, restored := filepath.Join(disk, fmt.Sprint(n, ".tar")), filepath.Join(disk, strconv.Itoa(n)), filepath.Join(disk, fmt.Sprint("restored", n))
		restore := func() error { _, err := eventserver.Restore(t.Context(), good, restored); return err }
		before := names(t, disk)
		c.break_()
		full := names(t, disk)
		for what, do := range map[string]func() error{"an archive": backup(archive), "a directory": backup(dir), "a restore": restore} {
			if err := do(); !errors.Is(err, c.why) || !strings.Contains(err.Error(), disk) {
				t.Errorf("case %d: %s: %v", n, what, err)
			}
			if left := names(t, disk); left != full {
				t.Errorf("case %d: %s leaves %s beside %s", n, what, left, full)
			}
		}
		c.mend_()
		if left := names(t, disk); left != before {
			t.Errorf("case %d: %s is left beside %s", n, left, before)
		}
		if err := errors.Join(backup(archive)(), backup(dir)(), restore()); err != nil {
			t.Errorf("case %d, mended: %v", n, err)
		}
		for _, from := range []string{archive, dir} {
			if _, err := eventserver.Restore(t.Context(), from, from+"-again"); err != nil {
				t.Errorf("case %d: the backup %s cannot be restored: %v", n, from, err)
			}
			for _, made := range []string{from + "-again", from, restored} {
				if err := os.RemoveAll(made); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// names of what is on a disk.
func names(t *testing.T, disk string) string {
	t.Helper()
	entries, err := os.ReadDir(disk)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&all, "%s ", e.Name())
	}
	return all.String()
}
