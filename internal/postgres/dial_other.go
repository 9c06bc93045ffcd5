//go:build !linux

package postgres

import (
	"syscall"
	"time"
)

// limitUnacknowledged has no option to set on this system.
func limitUnacknowledged(_, _ string, _ syscall.RawConn) error { return nil }

const triedAfter = time.Second

// readable is not known on this system: idle connections are tried after triedAfter.
func readable(uintptr) bool { return false }
