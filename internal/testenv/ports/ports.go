// Package ports gives ports to servers that are started later, by this process or another one.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/daybook-dev/daybook/internal/filelock"
)

// Below the range from which connections, and listeners that take any port, have theirs.
const lowest, count = 10_000, 20_000

// Reserve gives a port of the loopback address that no server listens on, and that no other test on this machine is given until it
// is released, or this process ends.
func Reserve() (port int, release func(), err error) {
	dir := filepath.Join(os.TempDir(), "daybook-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, nil, fmt.Errorf("reserve a port: %w", err)
	}
	for range 1000 {
		port := lowest + rand.IntN(count) //nolint:gosec // any
		lock, err := filelock.Try(filepath.Join(dir, strconv.Itoa(port)))
		if errors.Is(err, filelock.ErrHeld) {
			continue
		}
		if err != nil {
			return 0, nil, fmt.Errorf("reserve port %d: %w", port, err)
		}
		if l, err := net.Listen("tcp", Loopback(port)); err == nil { //nolint:noctx // at once
			if err := l.Close(); err != nil {
				lock.Release()
				return 0, nil, fmt.Errorf("reserve port %d: %w", port, err)
			}
			return port, lock.Release, nil
		}
		lock.Release()
	}
	return 0, nil, errors.New("reserve a port: none is free")
}

// Address is a loopback address for a server that is started later, or again at the same address: one that takes any port may find
// it taken by a connection when it comes back. It is no other test's until this one ends.
func Address(t testing.TB) string {
	t.Helper()
	port, release, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return Loopback(port)
}

// Loopback is the address of a port.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
