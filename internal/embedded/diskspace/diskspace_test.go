package diskspace_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace"
	"github.com/daybook-dev/daybook/internal/embedded/diskspace/diskspacetest"
)

// Whatever keeps a disk from taking files is found, named, and over by itself when it is over.
func TestGuardFindsEveryDiskThatTakesNoFiles(t *testing.T) {
	t.Parallel()
	disk := diskspacetest.Mount(t, 8<<20)
	g := diskspace.New(diskspace.Config{Dir: disk, MinFree: 1 << 20, Every: time.Millisecond})
	go g.Run(t.Context())
	comesTo(t, g, "")
	for _, c := range []struct {
		says         string
		break_, mend func()
	}{
		{"is nearly full", func() { diskspacetest.Fill(t, disk, 0) }, func() { diskspacetest.Free(t, disk) }},
		{"has room for", func() { diskspacetest.Inodes(t, disk, 10) }, func() { diskspacetest.Inodes(t, disk, 10_000) }},
		{"is mounted read-only", func() { diskspacetest.ReadOnly(t, disk, true) }, func() { diskspacetest.ReadOnly(t, disk, false) }},
	} {
		c.break_()
		comesTo(t, g, c.says)
		if err := diskspace.Takes(disk); (err == nil) != (c.says == "is nearly full") {
			t.Errorf("%s: %v", c.says, err)
		}
		c.mend()
		comesTo(t, g, "")
	}
}

// comesTo waits until the guard says something of its disk; "": that all is well.
func comesTo(t *testing.T, g *diskspace.Guard, says string) {
	t.Helper()
	within := time.After(time.Minute)
	for {
		err := g.Err()
		if (err == nil) == (says == "") && (err == nil || strings.Contains(err.Error(), says)) {
			return
		}
		select {
		case <-within:
			t.Fatalf("the guard says %v, want %q", err, says)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestAdviceNamesTheDiskAndTheRemedy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gone := filepath.Join(dir, "backup.partial", "MANIFEST")
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("back up: %w", &os.PathError{Op: "write", Path: gone, Err: syscall.ENOSPC}), "the disk of " + dir + " has too little space"},
		{errors.Join(errors.New("other"), &os.LinkError{Op: "link", Old: "/", New: gone, Err: syscall.EDQUOT}), "the disk of " + dir + " has too little space"},
		{&os.PathError{Op: "open", Path: gone, Err: syscall.EROFS}, "the disk of " + dir + " is mounted read-only"},
		{syscall.ENOSPC, "the disk has too little space"},
		{&os.PathError{Op: "open", Path: gone, Err: syscall.EACCES}, ""},
		{nil, ""},
	} {
		if got := diskspace.Advice(c.err); !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
