//go:build !linux

package diskspace

import (
	"errors"
	"os"
)

// allocate makes a file whose blocks are taken from the disk.
func allocate(path string, size uint64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // ours
	if err != nil {
		return err
	}
	return errors.Join(fill(f, size), f.Close())
}
