package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// watermark is a small file that holds the highest position ever acknowledged. It is written after each sync and never
// synced itself: what it says was durable before it was said, so it can only be too low, and a data directory whose
// log ends below it has lost events that were acknowledged (a truncated file, an old copy put in its place).
type watermark struct {
	f   vfs.File
	pos atomic.Uint64
}

const watermarkSize = 12

func openWatermark(fs vfs.FS, path string, log *slog.Logger) (*watermark, error) {
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("open watermark: %w", err)
	}
	m := &watermark{f: f}
	var b [watermarkSize]byte
	n, err := f.ReadAt(b[:], 0)
	switch {
	case n == 0 && errors.Is(err, io.EOF):
	case n < watermarkSize || crc32.Checksum(b[:8], castagnoli) != binary.BigEndian.Uint32(b[8:]):
		// Torn by a power cut, or damaged: it is only a second witness.
		log.Warn("event store's watermark cannot be read; a loss of acknowledged events would not be noticed this time", "file", path)
	default:
		m.pos.Store(binary.BigEndian.Uint64(b[:8]))
	}
	return m, nil
}

func (m *watermark) value() uint64 { return m.pos.Load() }

func (m *watermark) raise(position uint64) error {
	var b [watermarkSize]byte
	binary.BigEndian.PutUint64(b[:8], position)
	binary.BigEndian.PutUint32(b[8:], crc32.Checksum(b[:8], castagnoli))
	if _, err := m.f.WriteAt(b[:], 0); err != nil {
		return fmt.Errorf("write watermark: %w", err)
	}
	m.pos.Store(position)
	return nil
}

func (m *watermark) close() error {
	if m == nil {
		return nil
	}
	return m.f.Close()
}
