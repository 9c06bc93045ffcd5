package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// No binaries on the machine: the pinned build is fetched, checked, unpacked and run.
func TestDownload(t *testing.T) {
	t.Parallel()
	dir := emptyDir(t)
	cfg := Config{Dir: dir, Binaries: download, Cache: filepath.Join(filepath.Dir(dir), "cache"), Disposable: true}
	begun := time.Now()
	s, err := Start(t.Context(), cfg)
	if err != nil && strings.Contains(err.Error(), "unable to connect") {
		t.Skipf("SKIP TestDownload: the published builds cannot be reached: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("fetched, unpacked, made and started in %v: %s", time.Since(begun).Round(time.Millisecond), s.Version())
	if got := query[int](t, s.URL(), "select current_setting('server_version_num')::int / 10000"); got != pinnedMajor {
		t.Errorf("runs %d", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, cfg.Cache)

	// What is unpacked is used again, without the archive and without a network.
	home := filepath.Dir(filepath.Dir(s.bin.dir))
	archives, err := filepath.Glob(filepath.Join(home, "*.txz"))
	if err != nil || len(archives) != 1 {
		t.Fatalf("archives %v: %v", archives, err)
	}
	noFetch := func(context.Context, string) error { return errors.New("fetched again") }
	if bin, err := pinned(t.Context(), cfg, noFetch); err != nil || bin != s.bin.dir {
		t.Errorf("second time: %s, %v", bin, err)
	}
	discard := cfg
	discard.Logger = slog.New(slog.DiscardHandler)
	// A single flipped bit in it is found.
	good, err := os.ReadFile(archives[0])
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	refuses(t, discard, archives[0], bad)
	// And it is replaced where that is available.
	restore := func(context.Context, string) error { return os.WriteFile(archives[0], good, 0o600) }
	if _, err := pinned(t.Context(), discard, restore); err != nil {
		t.Errorf("replaced: %v", err)
	}
}

// An archive that is not the pinned one is neither unpacked nor run, wherever it came from.
func TestCorruptArchive(t *testing.T) {
	t.Parallel()
	cfg := Config{Cache: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
	for name := range digests() {
		home := homeOf(cfg)
		if err := os.MkdirAll(home, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, content := range []string{"", "\xfd7zXZ\x00 cut off", "anything"} {
			refuses(t, cfg, filepath.Join(home, name), []byte(content))
		}
		// Fetched like that.
		_, err := pinned(t.Context(), cfg, func(_ context.Context, home string) error {
			return os.WriteFile(filepath.Join(home, name), []byte("poisoned"), 0o600)
		})
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("fetched: %v", err)
		}
		if err := os.RemoveAll(home); err != nil {
			t.Fatal(err)
		}
	}
	// One that no digest is known of.
	_, err := pinned(t.Context(), cfg, func(_ context.Context, home string) error {
		return os.WriteFile(filepath.Join(home, "embedded-postgres-binaries-plan9-mips-18.3.0.txz"), []byte("x"), 0o600)
	})
	if err == nil || !strings.Contains(err.Error(), "plan9-mips") {
		t.Errorf("unknown platform: %v", err)
	}
}

// refuses puts content in the archive's place, with no way to another one.
func refuses(t *testing.T, cfg Config, archive string, content []byte) {
	t.Helper()
	unpacked := filepath.Join(filepath.Dir(archive), "unpacked")
	if err := errors.Join(os.RemoveAll(unpacked), os.WriteFile(archive, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	offline := errors.New("offline")
	_, err := pinned(t.Context(), cfg, func(context.Context, string) error { return offline })
	if !errors.Is(err, ErrCorrupt) || !errors.Is(err, offline) || !strings.Contains(err.Error(), archive) {
		t.Errorf("corrupt archive of %d bytes: %v", len(content), err)
	}
	if _, err := os.Stat(unpacked); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was unpacked: %v", err)
	}
}

// nothingLeft finds half made directories, and files that user postgres could not read.
func nothingLeft(t *testing.T, cache string) {
	t.Helper()
	err := filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch name := d.Name(); {
		case strings.HasPrefix(name, "fetching-"), strings.HasPrefix(name, "unpacking-"), strings.HasPrefix(name, "temp_"):
			return fmt.Errorf("left behind: %s", path)
		case d.IsDir() && info.Mode()&0o055 != 0o055:
			return fmt.Errorf("%s is closed to others: %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
