package app

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/daybook-dev/daybook/internal/secrets"
)

// ErrInUse says that another process runs the same embedded server on the same directory.
var ErrInUse = errors.New("is already run by another process on this data directory")

// flock is an advisory lock on a file; the kernel drops it with the process, however that ends.
type flock struct{ f *os.File }

// How a file is locked.
const (
	alone  = unix.LOCK_EX                // waiting for other holders
	now    = unix.LOCK_EX | unix.LOCK_NB // or ErrInUse
	shared = unix.LOCK_SH
)

func lockFile(path string, how int) (*flock, error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &flock{f}, nil
}

// release unlocks before it closes: a child that is just being started has the file open, too, until it has become its program.
func (l *flock) release() {
	_ = unix.Flock(int(l.f.Fd()), unix.LOCK_UN)
	_ = l.f.Close()
}

// runsAlready refuses a process that would run an embedded server which another process runs on the data directory, and says which.
func runsAlready(cfg Config) error {
	at, err := ReadAddresses(cfg.DataDir)
	if err != nil {
		return nil //nolint:nilerr // the locks decide; a process that is just starting has published nothing
	}
	for _, e := range embeddedServers(cfg, secrets.Secrets{}, slog.New(slog.DiscardHandler), nil) {
		if !cfg.Has(e.role) || e.given(cfg) != "" {
			continue
		}
		lock, err := lockFile(filepath.Join(cfg.DataDir, e.role+".lock"), now)
		if err == nil {
			lock.release()
			continue
		}
		if errors.Is(err, ErrInUse) {
			return fmt.Errorf("daybook runs on %s already: process %d, %s; stop it first, give this process other roles, or another --data-dir",
				cfg.DataDir, at.PID, cmp.Or(at.API, at.Admin, "without an API"))
		}
	}
	return nil
}

// lockServer keeps others from running the same embedded server on the data directory.
func lockServer(dataDir, role string) (*flock, error) {
	l, err := lockFile(filepath.Join(dataDir, role+".lock"), now)
	if errors.Is(err, ErrInUse) {
		return nil, fmt.Errorf("%s %w %s: give this process other roles, or another --data-dir", role, err, dataDir)
	}
	return l, err
}
