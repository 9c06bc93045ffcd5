package postgres

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// limitUnacknowledged ends a connection on which what was sent is not acknowledged in time: as long as there is such, the system sends no probes.
func limitUnacknowledged(network, _ string, conn syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadAfter.Milliseconds())) //nolint:gosec // a descriptor
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("limit what a connection to Postgres leaves unacknowledged: %w", err)
	}
	return nil
}

// triedAfter is how long it takes until the system ends a connection whose other end is gone. That is a sign.
const triedAfter = deadAfter

// readable tells whether a socket has something to read, be it its end.
func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // a descriptor
	n, err := unix.Poll(fds, 0)
	return n > 0 || err != nil
}
