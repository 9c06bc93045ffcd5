// Package wholefile writes files that are whole or absent, whatever ends the writing: a full disk, a crash, a power cut.
//
// The content goes to a file beside the path, NAME.partial, which is synced and then renamed; the rename is synced too. A file that cannot be
// completed is removed. What a killed process leaves of one is never read, and is overwritten by the next try.
package wholefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Suffix ends the name of a file that is not whole yet.
const Suffix = ".partial"

// Write replaces the file at path, or makes it, mode 0600.
func Write(path string, content []byte) error {
	return Fill(path, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(content))
		return err
	})
}

// Fill is Write of what fill writes. A path that names no regular file, as a terminal, is written to as it is.
func Fill(path string, fill func(io.Writer) error) error {
	path = filepath.Clean(path)
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return through(path, fill)
	}
	partial := path + Suffix
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(partial, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(partial))
	}
	return SyncDir(filepath.Dir(path))
}

func through(path string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0) //nolint:gosec // cleaned by the caller
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := errors.Join(fill(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// SyncDir makes what was created, renamed and removed in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
