package eventserver

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/daybook-dev/daybook/internal/embedded/eventserver/store"
)

// Backup copies the data directory, as it is now, into a directory that does not exist yet, while serving.
func (s *Server) Backup(dir string) (store.Manifest, error) { return s.store.Backup(dir) }

// Scavenge removes for good what metadata and deletions hide, and gives the space back, while serving.
func (s *Server) Scavenge(ctx context.Context) (store.Scavenged, error) { return s.store.Scavenge(ctx) }

// Verify reads and compares everything that is stored, while serving.
func (s *Server) Verify(ctx context.Context) (store.Report, error) { return s.store.Verify(ctx) }

// Backup copies a data directory that no server has open.
func Backup(dir, to string) (m store.Manifest, err error) {
	err = offline(dir, func(s *store.Store) error { m, err = s.Backup(to); return err })
	return m, err
}

// Verify reads and compares everything in a data directory that no server has open.
func Verify(ctx context.Context, dir string) (r store.Report, err error) {
	err = offline(dir, func(s *store.Store) error { r, err = s.Verify(ctx); return err })
	return r, err
}

// Scavenge reclaims space in a data directory that no server has open.
func Scavenge(ctx context.Context, dir string) (r store.Scavenged, err error) {
	err = offline(dir, func(s *store.Store) error { r, err = s.Scavenge(ctx); return err })
	return r, err
}

// Restore makes a data directory, which must not exist yet, of a backup. It is a history of its own, with a new
// incarnation id.
func Restore(ctx context.Context, backup, dir string) (store.Report, error) {
	return store.Restore(ctx, backup, store.Config{Dir: dir})
}

func offline(dir string, f func(*store.Store) error) error {
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	s, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.Close())
}

// Dump writes every event of a data directory that no server has open, one JSON object a line.
func Dump(ctx context.Context, dir string, w io.Writer) (n uint64, err error) {
	err = offline(dir, func(s *store.Store) error { n, err = s.Dump(ctx, w); return err })
	return n, err
}

// Import makes a data directory, which must not exist yet, of a dump; ids and created times stay.
func Import(ctx context.Context, r io.Reader, dir string) (uint64, error) {
	return store.Import(ctx, r, store.Config{Dir: dir})
}
