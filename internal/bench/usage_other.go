//go:build !linux

package bench

import (
	"os"
	"syscall"
)

// usage is known on Linux only.
func (process) usage() (usage, error) { return usage{}, nil }

func dies() *syscall.SysProcAttr { return nil }

func datasync(f *os.File) error { return f.Sync() }
