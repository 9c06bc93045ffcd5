// Package diskspace watches the free space of an embedded server's disk, and keeps some in reserve for it.
//
//	      free < MinFree, few inodes              free ≥ MinFree + what the reserve still needs
//	ok ───────────────────▶ low: server read-only ─────────────────────────────────────────────▶ ok, reserve made again
//	                         │ the server ended for want of space
//	                         └▶ reserve released: it can be started, and recover
//
// The reserve is a file of allocated blocks beside the server's data. It is released only when the server has ended and cannot
// start again without space: released earlier, it would be taken by whatever fills the disk.
package diskspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/daybook-dev/daybook/internal/beat"
)

// Config of a Guard. Dir is needed.
type Config struct {
	Dir     string // on the disk that is watched
	MinFree uint64 // bytes below which space is low
	Reserve uint64 // bytes of the reserve file; 0: none
	// Low is called when space becomes low and when there is enough again, and again after an error. May be nil.
	Low    func(ctx context.Context, low bool) error
	Every  time.Duration // between looks at a disk that could soon be full; default 100 ms
	Logger *slog.Logger  // default: none
}

// Guard watches one disk.
type Guard struct {
	cfg Config

	mu       sync.Mutex
	low      bool
	free     uint64
	files    uint64 // that may still be made
	reserved bool
	failed   error // of the last look
}

// reserveName is the file's name in Dir.
const reserveName = "reserve"

// New takes a first look and makes the reserve if there is space for it. Run does the watching.
func New(cfg Config) *Guard {
	if cfg.Every == 0 {
		cfg.Every = 100 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Guard{cfg: cfg}
	if info, err := os.Stat(g.path()); err == nil && uint64(info.Size()) >= cfg.Reserve { //nolint:gosec // not negative
		g.reserved = true
	}
	g.look()
	return g
}

// Run watches until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	next := time.NewTimer(0)
	defer next.Stop()
	said := false
	for {
		low := g.look()
		pause := g.pause()
		if pause == rests {
			pause = time.Until(beat.Next(time.Now(), rests))
		}
		next.Reset(pause)
		if low != said && g.cfg.Low != nil {
			acting, cancel := context.WithTimeout(ctx, 5*time.Second)
			if err := g.cfg.Low(acting, low); err == nil {
				said = low
			}
			cancel()
		}
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
	}
}

const (
	rests     = 2 * time.Second
	perSecond = 8 << 30 // more than a disk takes in a second
	manyFiles = 1000 * minFiles
)

// pause is the time until the next look: as long as nothing could fill the disk meanwhile.
func (g *Guard) pause() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil || g.low || g.files < manyFiles || g.free < g.wanted() {
		return g.cfg.Every
	}
	fills := time.Duration(float64(g.free-g.wanted()) / perSecond * float64(time.Second))
	return max(g.cfg.Every, min(fills, rests))
}

// Err is nil while there is enough space.
func (g *Guard) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.failed != nil:
		return g.failed
	case g.low && g.files < minFiles:
		return noFiles(g.cfg.Dir, g.files)
	case g.low:
		return fmt.Errorf("the disk of %s is nearly full: %s free, %s needed", g.cfg.Dir, mib(g.free), mib(g.wanted()))
	}
	return nil
}

// Release gives the reserve to a server that has ended for want of space. It tells whether there was one.
func (g *Guard) Release() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.low = true // until there is space for the reserve too
	if !g.reserved {
		return false
	}
	g.reserved = false
	if err := os.Remove(g.path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false
	}
	g.cfg.Logger.Warn("the disk is full: the reserve is released", "dir", g.cfg.Dir, "bytes", g.cfg.Reserve)
	return true
}

// wanted is how much must be free. The caller holds g.mu.
func (g *Guard) wanted() uint64 {
	if g.reserved {
		return g.cfg.MinFree
	}
	return g.cfg.MinFree + g.cfg.Reserve
}

// look compares free space with what is wanted, and makes the reserve again when it fits.
func (g *Guard) look() (low bool) {
	free, files, err := room(g.cfg.Dir)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed = err; err != nil {
		return g.low
	}
	g.free, g.files = free, files
	switch {
	case free < g.cfg.MinFree, files < minFiles:
		g.low = true
	case free >= g.wanted():
		if !g.reserved && g.cfg.Reserve > 0 {
			if err := allocate(g.path(), g.cfg.Reserve); err != nil {
				_ = os.Remove(g.path())
				g.failed = fmt.Errorf("make the reserve %s: %w", g.path(), err)
				return g.low
			}
			g.reserved = true
		}
		g.low = false
	}
	return g.low
}

func (g *Guard) path() string { return filepath.Join(g.cfg.Dir, reserveName) }

// Free is how many bytes a server may still take of the disk of dir.
func Free(dir string) (uint64, error) {
	s, err := statfs(dir)
	if err != nil {
		return 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil //nolint:gosec,unconvert // types differ between systems
}

// minFiles are as many as a server makes in the time that an operator needs.
const minFiles = 64

// readOnlyFlag is the same on Linux (ST_RDONLY) and macOS (MNT_RDONLY).
const readOnlyFlag = 1

// room is how many bytes and files the disk of dir takes. An error says why it takes nothing at all.
func room(dir string) (free, files uint64, err error) {
	s, err := statfs(dir)
	if err != nil {
		return 0, 0, err
	}
	if s.Flags&readOnlyFlag != 0 {
		return 0, 0, fmt.Errorf("the disk of %s is mounted read-only: mount it for writing", dir)
	}
	if files = s.Ffree; s.Files == 0 { // it has no such bound
		files = math.MaxUint64
	}
	return uint64(s.Bavail) * uint64(s.Bsize), files, nil //nolint:gosec,unconvert // types differ between systems
}

// Takes is nil unless the disk of dir takes no more files, or none at all.
func Takes(dir string) error {
	_, files, err := room(dir)
	if err == nil && files < minFiles {
		err = noFiles(dir, files)
	}
	return err
}

func noFiles(dir string, files uint64) error {
	return fmt.Errorf("the disk of %s has room for %d more files, %d needed: remove some", dir, files, minFiles)
}

func statfs(dir string) (s syscall.Statfs_t, err error) {
	if err := syscall.Statfs(dir, &s); err != nil {
		return s, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return s, nil
}

func mib(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }
