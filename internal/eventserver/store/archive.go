package store

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
)

// sendingPrefix begins the names of directories, in the data directory, that hold links to the files of an archive being written.
const sendingPrefix = "sending-"

const mostManifest = 64 << 20

// WriteArchive writes a backup of the store as it is now as a tar archive: the files of a backup directory, their description
// (backup.json) last, so that an archive that was cut short is recognised. Everything acknowledged before the call is in it. The store
// goes on serving; until the archive is written the disk cannot free the files that are in it.
func (s *Store) WriteArchive(ctx context.Context, w io.Writer) (m Manifest, err error) {
	m = Manifest{Format: dirFormat, Incarnation: s.incarnation, Position: s.Visible(), Taken: s.cfg.Now().UTC()}
	if s.disk.full() {
		return m, fmt.Errorf("back up event store in %s: %w", s.cfg.Dir, ErrFull) // what it is written from takes some space, too
	}
	fs := s.cfg.FS
	dir := fs.PathJoin(s.cfg.Dir, sendingPrefix+uuid.NewString())
	defer func() { err = errors.Join(err, fs.RemoveAll(dir)) }()
	if err := s.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return m, fmt.Errorf("back up event store: %w", err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return m, fmt.Errorf("list backup %s: %w", dir, err)
	}
	out := tar.NewWriter(w)
	for _, name := range names {
		f, err := s.archiveFile(ctx, out, dir, name)
		if err != nil {
			return m, fmt.Errorf("back up %s: %w", name, err)
		}
		m.Files = append(m.Files, f)
	}
	b, err := json.MarshalIndent(m, "", "\t")
	if err == nil {
		err = out.WriteHeader(&tar.Header{Name: backupName, Mode: 0o600, Size: int64(len(b)), ModTime: m.Taken})
	}
	if err == nil {
		_, err = out.Write(b)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return m, fmt.Errorf("back up event store: %w", err)
	}
	return m, nil
}

func (s *Store) archiveFile(ctx context.Context, out *tar.Writer, dir, name string) (File, error) {
	fs := s.cfg.FS
	f, err := fs.Open(fs.PathJoin(dir, name))
	if err != nil {
		return File{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return File{}, err
	}
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: s.cfg.Now().UTC()}); err != nil {
		return File{}, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, h), io.LimitReader(reading{ctx, f}, info.Size()))
	if err == nil && n < info.Size() {
		err = io.ErrUnexpectedEOF
	}
	return File{name, n, hex.EncodeToString(h.Sum(nil))}, err
}

// reading ends with its context.
type reading struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// sweepArchives removes what an archive being written left when its process ended. None may be under way.
func sweepArchives(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return nil //nolint:nilerr // absent
	}
	for _, name := range names {
		if strings.HasPrefix(name, sendingPrefix) {
			if err := fs.RemoveAll(fs.PathJoin(dir, name)); err != nil {
				return fmt.Errorf("remove %s: %w", name, err)
			}
		}
	}
	return nil
}

// UnpackArchive makes a backup directory, which must be absent or empty, of an archive. It is made beside it and renamed when it is
// whole and every file is as its description says.
func UnpackArchive(ctx context.Context, fs vfs.FS, r io.Reader, dir string) (Manifest, error) {
	if err := removable(fs, dir); err != nil {
		return Manifest{}, fmt.Errorf("back up to %s: %w", dir, err)
	}
	side := dir + ".partial"
	if err := errors.Join(fs.RemoveAll(side), makeDir(fs, side)); err != nil {
		return Manifest{}, fmt.Errorf("back up to %s: %w", dir, err)
	}
	m, err := unpack(ctx, fs, r, "received", side)
	if err != nil {
		return m, errors.Join(err, fs.RemoveAll(side))
	}
	b, err := json.MarshalIndent(m, "", "\t")
	if err == nil {
		err = writeFile(fs, side, backupName, append(b, '\n'))
	}
	if _, absent := fs.Stat(dir); absent == nil && err == nil {
		err = fs.Remove(dir)
	}
	if err == nil {
		err = errors.Join(fs.Rename(side, dir), syncDir(fs, fs.PathDir(dir)))
	}
	if err != nil {
		return m, fmt.Errorf("back up to %s: %w", dir, err)
	}
	return m, nil
}

// CheckArchive reads an archive through and compares every file in it with its description.
func CheckArchive(ctx context.Context, r io.Reader) (Manifest, error) {
	return eachFile(ctx, r, "received", func(string, io.Reader) error { return nil })
}

// unpack writes an archive's files into a directory and syncs them. The description is not among them.
func unpack(ctx context.Context, fs vfs.FS, r io.Reader, backup, dir string) (Manifest, error) {
	m, err := eachFile(ctx, r, backup, func(name string, content io.Reader) error {
		f, err := fs.Create(fs.PathJoin(dir, name), vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Sync(), f.Close())
	})
	if err != nil {
		return m, err
	}
	return m, syncDir(fs, dir)
}

// eachFile gives an archive's files to f; what f does not read is read for it.
func eachFile(ctx context.Context, r io.Reader, backup string, f func(name string, content io.Reader) error) (m Manifest, err error) {
	in := tar.NewReader(reading{ctx, r})
	var files []File
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return m, fmt.Errorf("backup %s was cut short: its end is missing", backup)
		}
		if err != nil {
			return m, fmt.Errorf("read backup %s: %w", backup, err)
		}
		if h.Name == backupName && h.Typeflag == tar.TypeReg {
			break
		}
		if h.Typeflag != tar.TypeReg || !plainName(h.Name) {
			return m, fmt.Errorf("%w: backup %s holds %q, which is no file of a backup", ErrCorrupt, backup, h.Name)
		}
		sum := &summing{r: in, h: sha256.New()}
		if err := f(h.Name, sum); err != nil {
			return m, fmt.Errorf("copy %s of backup %s: %w", h.Name, backup, err)
		}
		if _, err := io.Copy(io.Discard, sum); err != nil {
			return m, fmt.Errorf("read %s of backup %s: %w", h.Name, backup, err)
		}
		files = append(files, File{h.Name, sum.n, hex.EncodeToString(sum.h.Sum(nil))})
	}
	if err := json.NewDecoder(io.LimitReader(in, mostManifest)).Decode(&m); err != nil {
		return m, fmt.Errorf("read %s of backup %s: %w", backupName, backup, err)
	}
	if err := m.check(backup); err != nil {
		return m, err
	}
	return m, sameFiles(backup, files, m.Files)
}

func sameFiles(backup string, got, want []File) error {
	described := make(map[string]File, len(want))
	for _, f := range want {
		described[f.Name] = f
	}
	for _, f := range got {
		if described[f.Name] != f {
			return fmt.Errorf("%w: %s of backup %s is not as it was written", ErrCorrupt, f.Name, backup)
		}
		delete(described, f.Name)
	}
	for name := range described {
		return fmt.Errorf("%w: %s is missing in backup %s", ErrCorrupt, name, backup)
	}
	return nil
}

// summing reads on and adds up.
type summing struct {
	r io.Reader
	h hash.Hash
	n int64
}

// Read implements io.Reader.
func (s *summing) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	s.h.Write(p[:n])
	return n, err
}
