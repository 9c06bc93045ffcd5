package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskGuard is between pebble and the file system. Pebble ends the process when a write fails for want of space;
// the guard instead holds such a write back until there is space again, so that nothing has to be repaired. While it
// does, and whenever free space is below the reserve, the store refuses appends. A failed sync is passed on and never
// repeated: what the kernel then holds is unknown.
type diskGuard struct {
	vfs.FS

	dir     string
	reserve uint64
	log     *slog.Logger
	blocked atomic.Int32 // writes held back now
	low     atomic.Bool
	checked atomic.Int64           // when free space was last asked for, Unix nanoseconds
	giveUp  atomic.Pointer[func()] // called now and then while a write is held back
	noRoom  chan error             // has why a write is held back of a store that is being opened
	done    chan struct{}
	once    sync.Once
	witness *witness
	spare   *spare
}

const (
	diskCheckEvery = 20 * time.Millisecond
	diskRetryEvery = 50 * time.Millisecond
)

func newDiskGuard(fs vfs.FS, dir string, reserve uint64, log *slog.Logger, spareBytes uint64) *diskGuard {
	g := &diskGuard{FS: fs, dir: dir, reserve: reserve, log: log, done: make(chan struct{}), noRoom: make(chan error, 1),
		witness: &witness{fs: fs, dir: dir}}
	g.spare = &spare{g: g, size: int64(spareBytes)} //nolint:gosec // a memtable's
	return g
}

// full tells whether appends are to be refused.
func (g *diskGuard) full() bool {
	if g.blocked.Load() > 0 {
		return true
	}
	now := time.Now().UnixNano()
	if now-g.checked.Load() > int64(diskCheckEvery) {
		g.checked.Store(now)
		if u, err := g.GetDiskUsage(g.dir); err == nil {
			if low := u.AvailBytes < g.reserve; low != g.low.Swap(low) {
				if low {
					g.log.Error("disk is nearly full: event store refuses appends", "dir", g.dir, "free", u.AvailBytes, "reserve", g.reserve)
				} else {
					g.log.Info("disk has space again: event store takes appends", "dir", g.dir, "free", u.AvailBytes)
				}
			}
		}
	}
	return g.low.Load()
}

func (g *diskGuard) setGiveUp(f func()) { g.giveUp.Store(&f) }

func (g *diskGuard) close() { g.once.Do(func() { close(g.done) }) }

// retry repeats op while the disk has no space for it. While the store is being opened, Open gets the error and does not wait.
func (g *diskGuard) retry(op func() error) error {
	err := op()
	if err == nil || !noSpace(err) {
		return err
	}
	if g.giveUp.Load() == nil {
		select {
		case g.noRoom <- err:
		default:
		}
	}
	g.log.Error("a write found the disk full and waits for space", "dir", g.dir, "error", err)
	g.blocked.Add(1)
	defer g.blocked.Add(-1)
	t := time.NewTicker(diskRetryEvery)
	defer t.Stop()
	for {
		select {
		case <-g.done:
			return err
		case <-t.C:
		}
		if err = op(); err == nil || !noSpace(err) {
			return err
		}
		if f := g.giveUp.Load(); f != nil {
			(*f)()
		}
	}
}

func noSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

func (g *diskGuard) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &guardedFile{f, g}, nil
}

// Create implements vfs.FS. Pebble points its marker at a new manifest and syncs the directory once, after both; nothing but the
// file system's habits then keeps the marker from outliving the manifest in a power cut.
func (g *diskGuard) Create(name string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	if f := g.spare.take(name, c); f != nil {
		return g.wrap(f, nil)
	}
	err = g.retry(func() error { f, err = g.FS.Create(name, c); return err })
	number, manifest := manifestNumber(g.PathBase(name))
	manifest = manifest && g.ours(name)
	if err == nil && manifest {
		if err = syncDir(g.FS, g.PathDir(name)); err != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if f, err = g.wrap(f, err); err != nil || !manifest {
		return f, err
	}
	return &manifestFile{File: f, w: g.witness, number: number}, nil
}

func syncDir(fs vfs.FS, dir string) error {
	if dir == "" {
		dir = "."
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// OpenReadWrite implements vfs.FS.
func (g *diskGuard) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (f vfs.File, err error) {
	err = g.retry(func() error { f, err = g.FS.OpenReadWrite(name, c, opts...); return err })
	return g.wrap(f, err)
}

// ReuseForWrite implements vfs.FS.
func (g *diskGuard) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	if g.spare.tooSmall(old) {
		if f := g.spare.take(name, c); f != nil {
			_ = g.Remove(old)
			return g.wrap(f, nil)
		}
	}
	err = g.retry(func() error { f, err = g.FS.ReuseForWrite(old, name, c); return err })
	return g.wrap(f, err)
}

// ours tells whether a path lies in the data directory; backups are written through the guard too.
func (g *diskGuard) ours(path string) bool {
	return g.PathDir(path) == g.PathDir(g.PathJoin(g.dir, "x"))
}

var errBackupCopies = errors.New("a backup has files of its own")

// Link implements vfs.FS. A file linked into a backup would be the very same one: refused, pebble copies it. What an archive is
// written from is gone after that, and may be.
func (g *diskGuard) Link(old, name string) error {
	if !g.ours(name) && !strings.HasPrefix(g.PathBase(g.PathDir(name)), sendingPrefix) {
		return errBackupCopies
	}
	return g.retry(func() error { return g.FS.Link(old, name) })
}

// Rename implements vfs.FS.
func (g *diskGuard) Rename(old, name string) error {
	return g.retry(func() error { return g.FS.Rename(old, name) })
}

// MkdirAll implements vfs.FS.
func (g *diskGuard) MkdirAll(dir string, perm os.FileMode) error {
	return g.retry(func() error { return g.FS.MkdirAll(dir, perm) })
}

// Unwrap lets pebble find the file system beneath.
func (g *diskGuard) Unwrap() vfs.FS { return g.FS }

type guardedFile struct {
	vfs.File

	g *diskGuard
}

// Write implements io.Writer: it goes on where a short write left off. That a failed write leaves p as it is holds for files of
// the operating system, which alone can be full.
func (f *guardedFile) Write(p []byte) (n int, err error) {
	err = f.g.retry(func() error {
		m, err := f.File.Write(p[n:])
		n += m
		return err
	})
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *guardedFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.g.retry(func() error {
		m, err := f.File.WriteAt(p[n:], off+int64(n))
		n += m
		return err
	})
	return n, err
}

// makeDir creates a directory that a power cut does not take away again with all that was synced in it.
func makeDir(fs vfs.FS, dir string) error {
	var parents []string // of the directories to be created
	for d := dir; ; {
		if _, err := fs.Stat(d); err == nil {
			break
		}
		parent := fs.PathDir(d)
		parents = append(parents, parent)
		if parent == d {
			break
		}
		d = parent
	}
	if err := fs.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, p := range parents {
		if err := syncDir(fs, p); err != nil {
			return err
		}
	}
	return nil
}
