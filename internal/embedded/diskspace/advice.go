package diskspace

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Advice says what to do about an error of a disk that is full or mounted read-only, and which disk that is; "" for any other error.
func Advice(err error) string {
	disk := "the disk"
	if path := pathOf(err); path != "" {
		disk = "the disk of " + path
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return disk + " has too little space, or no room for another file (`df`, `df -i`): make room, then run the same command again"
	case errors.Is(err, syscall.EROFS):
		return disk + " is mounted read-only, which the system also does when the disk fails: mount it for writing, then run the same command again"
	}
	return ""
}

// pathOf is the nearest directory of the file that an error is about which exists.
func pathOf(err error) string {
	path := ""
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		path = p.Path
	} else if l, ok := errors.AsType[*os.LinkError](err); ok {
		path = l.New
	}
	if path == "" {
		return ""
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.IsDir() || dir == filepath.Dir(dir) {
			return dir
		}
	}
}
