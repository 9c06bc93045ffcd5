package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/daybook-dev/daybook/internal/filelock"
	"github.com/daybook-dev/daybook/internal/secrets"
)

// runsAlready refuses a process that would run an embedded server which another process runs on the data directory, and says which.
func runsAlready(d Domain, cfg Config) error {
	at, err := ReadAddresses(cfg.DataDir)
	if err != nil {
		return nil //nolint:nilerr // the locks decide; a process that is just starting has published nothing
	}
	for _, e := range embeddedServers(d, cfg, secrets.Secrets{}, slog.New(slog.DiscardHandler), nil) {
		if !cfg.Has(e.role) || e.given != "" {
			continue
		}
		lock, err := filelock.Try(filepath.Join(cfg.DataDir, e.role+".lock"))
		if err == nil {
			lock.Release()
			continue
		}
		if errors.Is(err, filelock.ErrHeld) {
			return fmt.Errorf("%s runs on %s already: process %d, %s; stop it first, give this process other roles, or another --data-dir",
				cfg.name(), cfg.DataDir, at.PID, cmp.Or(at.API, at.Admin, "without an API"))
		}
	}
	return nil
}

// lockServer keeps others from running the same embedded server on the data directory.
func lockServer(dataDir, role string) (*filelock.Lock, error) {
	l, err := filelock.Try(filepath.Join(dataDir, role+".lock"))
	if errors.Is(err, filelock.ErrHeld) {
		return nil, fmt.Errorf("%s is already run by another process on the data directory %s: give this process other roles, or another --data-dir", role, dataDir)
	}
	return l, err
}
