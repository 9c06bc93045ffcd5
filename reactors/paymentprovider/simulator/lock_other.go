//go:build !unix

package simulator

import (
	"fmt"
	"os"
	"path/filepath"
)

// lock only opens the file here: such systems have no flock, and the data directory has a lock of its own.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the simulator's directory: %w", err)
	}
	return f, nil
}
