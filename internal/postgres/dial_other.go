//go:build !linux

package postgres

import "syscall"

// limitUnacknowledged has no option to set on this system.
func limitUnacknowledged(_, _ string, _ syscall.RawConn) error { return nil }

// readable is not known on this system: idle connections are tried after a second.
func readable(uintptr) bool { return false }
