package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Manifest describes a backup; it lies in it as backup.json and is written last: a directory without it is no backup.
type Manifest struct {
	Format      int       `json:"format"`
	Incarnation string    `json:"incarnation"`
	Position    uint64    `json:"position"` // at least every event up to it is in the backup
	Taken       time.Time `json:"taken"`
	Files       []File    `json:"files"`
}

// File is one file of a backup.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

const backupName = "backup.json"

// Backup copies the store as it is now into a directory, which must be absent or empty, while it goes on serving. Everything
// acknowledged before the call is in it.
func (s *Store) Backup(ctx context.Context, dir string) (Manifest, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		_, err := s.WriteArchive(ctx, w)
		_ = w.CloseWithError(err)
		written <- err
	}()
	m, err := UnpackArchive(ctx, s.cfg.FS, r, dir)
	if err == nil {
		_, err = io.Copy(io.Discard, r) // an archive ends in zeros
	}
	_ = r.CloseWithError(err)
	if e := <-written; err == nil {
		err = e
	}
	return m, err
}

// ReadBackup reads a backup's description and compares every file with it.
func ReadBackup(fs vfs.FS, dir string) (Manifest, error) {
	var m Manifest
	b, err := readFile(fs, fs.PathJoin(dir, backupName))
	if err != nil {
		return m, fmt.Errorf("%s is no complete backup: %w", dir, err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("read %s of backup %s: %w", backupName, dir, err)
	}
	if err := m.check(dir); err != nil {
		return m, err
	}
	for _, f := range m.Files {
		size, sum, err := hashFile(fs, fs.PathJoin(dir, f.Name))
		if err != nil {
			return m, err
		}
		if size != f.Size || sum != f.SHA256 {
			return m, fmt.Errorf("%w: %s of backup %s is not as it was written", ErrCorrupt, f.Name, dir)
		}
	}
	return m, nil
}

func (m *Manifest) check(backup string) error {
	if m.Format != dirFormat {
		return fmt.Errorf("backup %s has format %d, this program knows %d", backup, m.Format, dirFormat)
	}
	for _, f := range m.Files {
		if !plainName(f.Name) {
			return fmt.Errorf("%w: backup %s names a file %q", ErrCorrupt, backup, f.Name)
		}
	}
	return nil
}

// plainName tells whether a name stays in the directory it is put into.
func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, `/\:`)
}

// Exists tells whether a directory holds an event store, however damaged.
func Exists(fs vfs.FS, dir string) bool {
	names, err := fs.List(dir)
	if err != nil {
		return false
	}
	for _, name := range names {
		if _, ok := manifestNumber(name); ok {
			return true
		}
	}
	return false
}

// vacant refuses a directory that has content. What a store leaves that ended while it was being made is nothing.
func vacant(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return nil //nolint:nilerr // it can be made, or making it says so
	}
	for _, name := range names {
		if name != "LOCK" && !strings.HasPrefix(name, "marker.") {
			return fmt.Errorf("directory %s holds no event store and is not empty (%s)", dir, name)
		}
	}
	return nil
}

// Restore makes a data directory, which must be absent or empty, of a backup, a directory or an archive. It becomes a history of
// its own: its events are the backup's, followed by one that gives it a new incarnation id.
func Restore(ctx context.Context, backup string, cfg Config) (Report, error) {
	cfg = cfg.withDefaults()
	fs := cfg.FS
	// Made beside it and then renamed: what bears the name is whole.
	target, side := cfg.Dir, cfg.Dir+".restoring"
	if err := removable(fs, target); err != nil {
		return Report{}, fmt.Errorf("restore to %s: %w", target, err)
	}
	if err := errors.Join(fs.RemoveAll(side), makeDir(fs, side)); err != nil {
		return Report{}, fmt.Errorf("restore to %s: %w", side, err)
	}
	m, err := copyBackup(ctx, fs, backup, side)
	if err != nil {
		return Report{}, errors.Join(err, fs.RemoveAll(side))
	}
	cfg.Dir = side
	report, err := reincarnate(ctx, cfg, m.Position)
	if err != nil {
		return report, errors.Join(fmt.Errorf("restore to %s: %w", target, err), fs.RemoveAll(side))
	}
	if _, err := fs.Stat(target); err == nil {
		if err := fs.Remove(target); err != nil {
			return report, fmt.Errorf("restore to %s: %w", target, err)
		}
	}
	if err := errors.Join(syncDir(fs, side), fs.Rename(side, target), syncDir(fs, fs.PathDir(target))); err != nil {
		return report, fmt.Errorf("restore to %s: %w", target, err)
	}
	return report, nil
}

// removable refuses a directory that holds anything.
func removable(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err != nil {
		return nil //nolint:nilerr // absent
	}
	names, err := fs.List(dir)
	if err == nil && len(names) > 0 {
		return errors.New("the directory is not empty")
	}
	return err
}

// copyBackup copies a backup's files into a directory, and compares them with its description.
func copyBackup(ctx context.Context, fs vfs.FS, backup, dir string) (m Manifest, err error) {
	info, err := fs.Stat(backup)
	if err != nil {
		return m, fmt.Errorf("backup: %w", err)
	}
	if !info.IsDir() {
		f, err := fs.Open(backup)
		if err != nil {
			return m, fmt.Errorf("backup: %w", err)
		}
		m, err = unpack(ctx, fs, f, backup, dir)
		return m, errors.Join(err, f.Close())
	}
	if m, err = ReadBackup(fs, backup); err != nil {
		return m, err
	}
	for _, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return m, err
		}
		if err := vfs.Copy(fs, fs.PathJoin(backup, f.Name), fs.PathJoin(dir, f.Name)); err != nil {
			return m, fmt.Errorf("restore %s: %w", f.Name, err)
		}
	}
	return m, nil
}

func reincarnate(ctx context.Context, cfg Config, position uint64) (report Report, err error) {
	cfg.reincarnate = true
	s, err := Open(cfg)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.Visible() <= position {
		return report, fmt.Errorf("%w: the backup holds events up to %d, it should hold those up to %d", ErrCorrupt, s.Visible()-1, position)
	}
	return s.Verify(ctx)
}

func hashFile(fs vfs.FS, path string) (size int64, sum string, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return 0, "", fmt.Errorf("read %s: %w", path, err)
	}
	h := sha256.New()
	size, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, "", fmt.Errorf("read %s: %w", path, err)
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}

// writeFile writes a small file so that it is whole or absent after a power cut.
func writeFile(fs vfs.FS, dir, name string, b []byte) error {
	tmp := fs.PathJoin(dir, name+".tmp")
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = errors.Join(fs.Rename(tmp, fs.PathJoin(dir, name)), syncDir(fs, dir))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", fs.PathJoin(dir, name), err)
	}
	return nil
}
