package pgserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrInUse says that another process runs Postgres on this directory.
var ErrInUse = errors.New("another process runs Postgres on this directory")

// dirLock makes one process the supervisor of a directory. The kernel frees it when that process ends, however it
// ends; Postgres itself does not inherit it.
type dirLock struct {
	file   *os.File
	former int // the supervisor before us, 0 if unknown
}

func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // in our directory
	if err != nil {
		return nil, err
	}
	b, _ := io.ReadAll(io.LimitReader(f, 32)) // who holds or held it: for the message
	holder, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w (process %d)", dir, ErrInUse, holder)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	l := &dirLock{file: f, former: holder}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		l.release()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return l, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// release unlocks before it closes: a child that is just being started has the file open, too, until it has become its program.
func (l *dirLock) release() {
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
	_ = l.file.Close()
}
