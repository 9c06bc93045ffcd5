//go:build !linux

package bench

import (
	"os"
	"syscall"
)

// usage is known on Linux only.
func (process) usage() (usage, error) { return usage{}, nil }

// resident is known on Linux only.
func (process) resident() (all, children int64, err error) { return 0, 0, nil }

func dies() *syscall.SysProcAttr { return nil }

func datasync(f *os.File) error { return f.Sync() }
