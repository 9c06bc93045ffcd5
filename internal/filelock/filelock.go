// Package filelock keeps others out of a directory or a file with an advisory lock (flock). The kernel drops a lock with its process,
// however that ends.
package filelock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrHeld says that somebody else holds the lock.
var ErrHeld = errors.New("is locked by another process")

// Lock on a file.
type Lock struct {
	f      *os.File
	former int
}

// Try takes the lock for itself, or gives ErrHeld. The file holds the process' id afterwards.
func Try(path string) (*Lock, error) { return exclusive(path, unix.LOCK_EX|unix.LOCK_NB) }

// Wait takes the lock for itself when all others have released it.
func Wait(path string) (*Lock, error) { return exclusive(path, unix.LOCK_EX) }

// Share takes the lock together with others that share it, when none has it for itself.
func Share(path string) (*Lock, error) { return take(path, unix.LOCK_SH) }

// Holder is the process that holds the lock of the file for itself, or held it last; 0 if unknown.
func Holder(path string) int {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // read only
	return holder(f)
}

// Former is the process that held the lock for itself before; 0 if unknown.
func (l *Lock) Former() int { return l.former }

// Release gives the lock up. It unlocks before it closes: a child that is just being started has the file open, too, until it has
// become its program.
func (l *Lock) Release() {
	_ = unix.Flock(int(l.f.Fd()), unix.LOCK_UN)
	_ = l.f.Close()
}

func exclusive(path string, how int) (*Lock, error) {
	l, err := take(path, how)
	if err != nil {
		return nil, err
	}
	l.former = holder(l.f)
	// Over what is there: that takes no space of a full disk.
	n, err := l.f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	if err == nil {
		err = l.f.Truncate(int64(n))
	}
	if err != nil {
		l.Release()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return l, nil
}

func take(path string, how int) (*Lock, error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		return &Lock{f: f}, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, ErrHeld
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

func holder(f *os.File) int {
	b, _ := io.ReadAll(io.LimitReader(f, 32))
	first, _, _ := strings.Cut(string(b), "\n")
	pid, _ := strconv.Atoi(first)
	return pid
}
