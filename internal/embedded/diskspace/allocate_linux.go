package diskspace

import (
	"errors"
	"os"
	"syscall"
)

// allocate makes a file whose blocks are taken from the disk.
func allocate(path string, size uint64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // ours
	if err != nil {
		return err
	}
	err = syscall.Fallocate(int(f.Fd()), 0, 0, int64(size)) //nolint:gosec // a file's size
	if errors.Is(err, syscall.EOPNOTSUPP) {
		err = fill(f, size)
	}
	return errors.Join(err, f.Close())
}
