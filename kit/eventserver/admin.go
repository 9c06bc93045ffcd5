package eventserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// Backup copies the data directory, as it is now, into a directory that is absent or empty, while serving.
func (s *Server) Backup(ctx context.Context, dir string) (store.Manifest, error) {
	return s.store.Backup(ctx, dir)
}

// Scavenge removes for good what metadata and deletions hide, and gives the space back, while serving.
func (s *Server) Scavenge(ctx context.Context) (store.Scavenged, error) { return s.store.Scavenge(ctx) }

// Verify reads and compares everything that is stored, while serving.
func (s *Server) Verify(ctx context.Context) (store.Report, error) { return s.store.Verify(ctx) }

// Health is nil while the server does all it is for; else it says why appends are refused, for now or until the next start.
func (s *Server) Health() error {
	if err := s.Err(); err != nil {
		return err
	}
	if s.store.Figures().ReadOnly {
		return store.ErrFull
	}
	if s.cfg.Store.FS != nil {
		return nil // not a disk
	}
	return diskspace.Takes(s.cfg.Store.Dir)
}

// WriteArchive writes a backup of a data directory that no server has open as an archive.
func WriteArchive(ctx context.Context, dir string, w io.Writer) (m store.Manifest, err error) {
	err = offline(dir, func(s *store.Store) error { m, err = s.WriteArchive(ctx, w); return err })
	return m, err
}

// Verify reads and compares everything in a data directory that no server has open. Damage is a *store.DamageError.
func Verify(ctx context.Context, dir string) (r store.Report, err error) {
	err = offline(dir, func(s *store.Store) error { r, err = s.Verify(ctx); return err })
	return r, err
}

// Scavenge reclaims space in a data directory that no server has open.
func Scavenge(ctx context.Context, dir string) (r store.Scavenged, err error) {
	err = offline(dir, func(s *store.Store) error { r, err = s.Scavenge(ctx); return err })
	return r, err
}

// Restore makes a data directory, which must be absent or empty, of a backup, be it a directory or an archive. It is a history of
// its own, with a new incarnation id.
func Restore(ctx context.Context, backup, dir string) (store.Report, error) {
	return store.Restore(ctx, backup, store.Config{Dir: dir})
}

// Dump writes events of a data directory that no server has open, one JSON object a line: see store.Line.
func Dump(ctx context.Context, dir string, w io.Writer, o store.DumpOptions) (n uint64, err error) {
	err = offline(dir, func(s *store.Store) error { n, err = s.Dump(ctx, w, o); return err })
	return n, err
}

// Import adds a dump to a data directory that no server has open, which is made if there is none. See store.Store.Import.
func Import(ctx context.Context, r io.Reader, dir string, o store.ImportOptions) (store.Imported, error) {
	total, err := store.Import(ctx, r, store.Config{Dir: dir}, o)
	return total, inUse(dir, err)
}

func offline(dir string, f func(*store.Store) error) error {
	if !store.Exists(vfs.Default, dir) {
		return fmt.Errorf("there is no event store in %s", dir)
	}
	s, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		return inUse(dir, err)
	}
	return errors.Join(f(s), s.Close())
}

// ErrInUse says that another process has the data directory open.
var ErrInUse = errors.New("is in use by another process")

// inUse says so where that is why a directory cannot be opened.
func inUse(dir string, err error) error {
	if errors.Is(err, syscall.EAGAIN) {
		return fmt.Errorf("data directory %s %w", dir, ErrInUse)
	}
	return err
}
