//go:build unix

package simulator

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps a second simulator out of the directory. It ends with the process, however that ends.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the simulator's directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("a payment simulator is already running on %s: %w", dir, err)
	}
	return f, nil
}
