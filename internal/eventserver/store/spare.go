package store

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// spare keeps a file of zeros ready to become pebble's next log. Writing over what a file already has spares each sync the
// journal of the file system: half of what a sync of a growing file takes. Pebble reads zeros behind a log's last record as its
// end, as it does with the logs that it uses again itself; it does so only once it has flushed some, and they have grown.
//
// It is made in the background, and not before the second log: a store that is hardly written to needs none.
type spare struct {
	g    *diskGuard
	size int64 // 0: none is ever made
	soon bool  // from the first log on, and whenever there is one
	used atomic.Int64

	mu     sync.Mutex
	logs   int // begun
	ready  bool
	making bool
	closed bool
	made   sync.WaitGroup
}

const (
	logCategory = vfs.DiskWriteCategory("pebble-wal")
	spareName   = "spare-log"
	spareChunk  = 256 << 10

	firstLog, mostDoublings = 256 << 10, 20
)

func (s *spare) path() string { return s.g.PathJoin(s.g.dir, spareName) }

// take makes the spare file a log, if it is ready, and sees to the next one.
func (s *spare) take(name string, c vfs.DiskWriteCategory) vfs.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c != logCategory || s.size == 0 || s.closed || !s.g.ours(name) {
		return nil
	}
	var f vfs.File
	if s.ready {
		s.ready = false
		var err error
		if f, err = s.g.FS.ReuseForWrite(s.path(), name, c); err != nil {
			s.g.log.Warn("event store: the spare log cannot be used", "error", err)
			f = nil
		} else {
			s.used.Add(1)
		}
	}
	s.logs++
	if size := s.next(); (s.logs > 1 || s.soon) && !s.making && !s.ready {
		s.making = true
		s.made.Go(func() { s.make(size) })
	}
	return f
}

// next is what the next log may hold: pebble begins with a small memtable and doubles it up to its size.
func (s *spare) next() int64 { return min(s.size, firstLog<<min(s.logs, mostDoublings)) }

func (s *spare) make(size int64) {
	err := s.fill(size)
	if err != nil {
		_ = s.g.Remove(s.path())
		s.g.log.Debug("event store: no spare log", "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.making, s.ready = false, err == nil && !s.closed
}

func (s *spare) fill(size int64) error {
	if u, err := s.g.GetDiskUsage(s.g.dir); err == nil && u.AvailBytes < s.g.reserve+4*uint64(size) { //nolint:gosec // not negative
		return fmt.Errorf("disk has only %d bytes left", u.AvailBytes)
	}
	f, err := s.g.FS.Create(s.path(), logCategory)
	if err != nil {
		return err
	}
	zeros := make([]byte, min(size, spareChunk))
	for left := size; left > 0 && err == nil; left -= int64(len(zeros)) {
		select {
		case <-s.g.done:
			err = ErrClosed
		default:
			_, err = f.Write(zeros)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// tooSmall tells whether a log that pebble would use again had better be replaced by the spare one.
func (s *spare) tooSmall(name string) bool {
	info, err := s.g.Stat(name)
	return err == nil && (s.soon || info.Size() < s.size/2)
}

// close ends what is under way, and leaves no file.
func (s *spare) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.made.Wait()
	s.clear()
}

// clear removes what an earlier process left.
func (s *spare) clear() { _ = s.g.Remove(s.path()) }
