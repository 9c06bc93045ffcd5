package runtime

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace/diskspacetest"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/internal/wholefile"
)

// Every file that is written at a start and by a command is whole or absent on a disk that is full, has no room for another file, or is
// mounted read-only; the error names the disk, and with space the same succeeds.
func TestDiskThatTakesNothing(t *testing.T) {
	t.Parallel()
	disk := diskspacetest.Mount(t, 4<<20)
	cfg := Config{DataDir: filepath.Join(disk, "data")}
	if err := cfg.makeDataDir(); err != nil {
		t.Fatal(err)
	}
	recovered := func() error { _, err := new(Recovery).keep(cfg.DataDir); return err }
	for _, c := range []struct {
		why          error
		break_, mend func()
	}{
		{syscall.ENOSPC, func() { diskspacetest.Fill(t, disk, 0) }, func() { diskspacetest.Free(t, disk) }},
		{syscall.ENOSPC, func() { diskspacetest.Inodes(t, disk, 0) }, func() { diskspacetest.Inodes(t, disk, 1000) }},
		{syscall.EROFS, func() { diskspacetest.ReadOnly(t, disk, true) }, func() { diskspacetest.ReadOnly(t, disk, false) }},
	} {
		before := files(t, cfg.DataDir)
		writes := map[string]func() error{
			"secrets": func() error {
				_, err := secrets.Load(secrets.Config{Dir: cfg.SecretsDir()}, secrets.InstallationKey|secrets.KeyEncryptionKey|secrets.PostgresPassword)
				return err
			},
			"run.json": func() error {
				withdraw, err := publish(cfg.DataDir, Addresses{API: "http://127.0.0.1:1"})
				if err == nil {
					withdraw()
				}
				return err
			},
			"recovery": recovered,
		}
		c.break_()
		for what, write := range writes {
			if path, ok := errors.AsType[*fs.PathError](write()); !ok || !errors.Is(path, c.why) {
				t.Errorf("%v: %s: %v", c.why, what, path)
			}
		}
		if _, err := ReadAddresses(cfg.DataDir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: addresses: %v", c.why, err)
		}
		for name, size := range files(t, cfg.DataDir) {
			if _, there := before[name]; !there && size > 0 {
				t.Errorf("%v: %s of %d bytes is left", c.why, name, size)
			}
		}
		c.mend()
		for what, write := range writes {
			if err := write(); err != nil {
				t.Errorf("%s, after it was mended: %v", what, err)
			}
		}
		if err := os.RemoveAll(cfg.SecretsDir()); err != nil {
			t.Fatal(err)
		}
	}
}

// files of a directory and those below it, with their sizes.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all[path] = info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What a power cut or a full disk left of run.json is of a process that is gone: it keeps no other from starting.
func TestTornAddressesAreOfNoProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, torn := range []string{"", "{\n  \"api\": \"http://127", "\x00\x00\x00\x00"} {
		for _, name := range []string{RunFile(dir), RunFile(dir) + wholefile.Suffix} {
			if err := os.WriteFile(name, []byte(torn), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ReadAddresses(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", torn, err)
		}
		withdraw, err := publish(dir, Addresses{API: "http://127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		if at, err := ReadAddresses(dir); err != nil || at.API == "" {
			t.Errorf("%q: %+v %v", torn, at, err)
		}
		withdraw()
	}
}
