package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Config says where a store keeps its data. Dir is required; the rest has values that work.
type Config struct {
	Dir           string
	Logger        *slog.Logger
	CacheBytes    int64            // pebble's block cache; default 64 MiB
	MemTableBytes uint64           // default 64 MiB
	MinFreeBytes  uint64           // appends are refused while the disk has less than this; default 64 MiB
	FS            vfs.FS           // default the real one
	Now           func() time.Time // default time.Now
	Metrics       *Metrics         // may be nil

	begun       int64         // when a new history's first event says it was created, 0: now
	sparesSoon  bool          // as many spare logs as can be, for tests
	reincarnate bool          // begin a new history behind what is there
	batchBytes  int           // most bytes of one group commit
	patience    time.Duration // how long clients wait for a commit that waits for space
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 64 << 20
	}
	if c.MemTableBytes == 0 {
		c.MemTableBytes = 64 << 20
	}
	if c.MinFreeBytes == 0 {
		c.MinFreeBytes = 64 << 20
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.patience == 0 {
		c.patience = time.Second
	}
	if c.batchBytes == 0 {
		c.batchBytes = 4 << 20
	}
	return c
}

// Store is an open data directory. All methods may be called from many goroutines.
type Store struct {
	cfg         Config
	log         *slog.Logger
	db          *pebble.DB
	cache       *pebble.Cache
	disk        *diskGuard
	mark        *watermark
	queue       *queue
	watch       watchers
	incarnation string

	visible atomic.Uint64 // every position up to it is synced and may be shown
	broken  atomic.Pointer[brokenState]
	stop    chan struct{} // closed when the writer is to end
	stopped chan struct{} // closed when it has

	filesMu     sync.RWMutex // figures are asked for while the store closes
	filesClosed bool

	maintenance sync.Mutex // one scavenge or verification at a time

	closeOnce sync.Once
	closeErr  error
}

type brokenState struct{ err error }

// Open opens or creates a store. A directory that another process has open, one of a newer format, and one that lacks
// events which were acknowledged are refused.
func Open(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if cfg.Dir == "" {
		return nil, errors.New("open event store: no data directory given")
	}
	s := &Store{cfg: cfg, log: cfg.Logger, queue: newQueue(), stop: make(chan struct{}), stopped: make(chan struct{})}
	s.watch.streams = map[string]map[*Watch]struct{}{}
	s.disk = newDiskGuard(cfg.FS, cfg.Dir, cfg.MinFreeBytes, s.log, cfg.MemTableBytes)
	s.disk.spare.soon = cfg.sparesSoon
	opened := make(chan error, 1)
	go func() {
		err := errCutShort
		defer func() { opened <- err }()
		err = s.open()
	}()
	var err error
	select {
	case err = <-opened:
		if errors.Is(err, errCutShort) {
			err = s.Err()
		}
	case err = <-s.disk.noRoom:
		go func() { // pebble goes on when there is space, and is not needed then
			if <-opened == nil {
				_ = s.Close()
			}
		}()
	}
	if err != nil {
		return nil, fmt.Errorf("open event store in %s: %w", cfg.Dir, err)
	}
	return s, nil
}

// errCutShort: pebble would have ended the process, and has ended its goroutine instead; see pebbleLogger.
var errCutShort = errors.New("cut short")

func (s *Store) open() error {
	if err := makeDir(s.disk, s.cfg.Dir); err != nil {
		return err
	}
	if err := s.disk.witness.check(); err != nil {
		return err
	}
	s.cache = pebble.NewCache(s.cfg.CacheBytes)
	db, err := pebble.Open(s.cfg.Dir, s.pebbleOptions())
	if err != nil {
		s.cache.Unref()
		return err
	}
	s.db = db
	s.disk.spare.clear() // behind pebble's lock: the directory is ours
	w, err := s.recover()
	if err != nil {
		return errors.Join(err, s.closeFiles())
	}
	s.disk.setGiveUp(w.giveUp)
	go w.run()
	return nil
}

func (s *Store) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          s.disk,
		Cache:                       s.cache,
		FormatMajorVersion:          pebble.FormatNewest, // its WAL tells a torn tail from a damaged middle
		MemTableSize:                s.cfg.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       100,
		Logger:                      pebbleLogger{s},
		MaxOpenFiles:                1000,
	}
	o.EventListener = &pebble.EventListener{
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			s.log.Error("event store: damaged file", "file", info.Path, "error", info.Details)
		},
	}
	// One compaction runs at a time, and begins the next when it ends. The usual scheduler also wakes ten times a second to see whether more
	// may run, which is so only with a higher concurrency.
	o.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// recover finds where the log ends, and begins it if there is none.
func (s *Store) recover() (*writer, error) {
	w := newWriter(s)
	last, created, err := s.lastRecord()
	if err != nil {
		return nil, err
	}
	w.last, w.created = last, created
	s.mark, err = openWatermark(s.disk, s.cfg.FS.PathJoin(s.cfg.Dir, "watermark"), s.log)
	if err != nil {
		return nil, err
	}
	if acked := s.mark.value(); acked > last {
		return nil, fmt.Errorf("%w: events up to position %d were acknowledged, the files end at %d", ErrCorrupt, acked, last)
	}
	s.visible.Store(last)
	if err := w.begin(); err != nil {
		return nil, err
	}
	return w, nil
}

// lastRecord is called before anything is written: whatever pebble recovered from its log it has also synced.
func (s *Store) lastRecord() (position uint64, created int64, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixAll}, UpperBound: []byte{prefixAll + 1}})
	if err != nil {
		return 0, 0, err
	}
	defer it.Close()
	if !it.Last() {
		return 0, 0, it.Error()
	}
	var r Record
	position = binary.BigEndian.Uint64(it.Key()[1:])
	if err := decodeRecord(position, it.Value(), &r); err != nil {
		return 0, 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return position, r.Created, nil
}

// Visible is the position of the newest event that may be shown.
func (s *Store) Visible() uint64 { return s.visible.Load() }

// Incarnation identifies this history.
func (s *Store) Incarnation() string { return s.incarnation }

// Err is nil, or why the store takes no more appends until it is opened again.
func (s *Store) Err() error {
	if b := s.broken.Load(); b != nil {
		return b.err
	}
	return nil
}

// fail makes the store read-only for good; the first reason stays.
func (s *Store) fail(err error) {
	if s.broken.CompareAndSwap(nil, &brokenState{err}) {
		s.log.Error("event store is read-only until restarted", "error", err)
		s.watch.wakeAll()
	}
}

// waitVisible returns once everything up to position may be shown.
func (s *Store) waitVisible(ctx context.Context, position uint64) error {
	for {
		changed := s.watch.all.wait()
		if s.visible.Load() >= position {
			return nil
		}
		if err := s.Err(); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stopped:
			return ErrClosed
		}
	}
}

// Close answers what waits with ErrClosed and closes the files. Everything acknowledged is already on disk. Reads must
// have ended before.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.stop)
		s.disk.close()
		<-s.stopped
		s.closeErr = s.closeFiles()
	})
	return s.closeErr
}

func (s *Store) closeFiles() error {
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	s.filesClosed = true
	s.disk.spare.close()
	if s.Err() != nil {
		// Pebble's commit pipeline cannot be ended in order after a failure; the files hold all that was acknowledged.
		return s.mark.close()
	}
	err := s.mark.close()
	if e := s.disk.witness.close(); e != nil {
		err = errors.Join(err, e)
	}
	if e := s.db.Close(); e != nil {
		err = errors.Join(err, fmt.Errorf("close event store in %s: %w", s.cfg.Dir, e))
	}
	s.cache.Unref()
	return err
}
