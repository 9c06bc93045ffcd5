package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// witness is a small file beside pebble's manifest, the list of the tables that make up the store. Pebble takes a manifest
// whose end cannot be read for one that a power cut tore, and silently goes on with the tables of before. The
// witness says up to where the manifest was synced and the checksum of that, written after the sync and never synced itself:
// it can lag behind, but what it says must be there.
type witness struct {
	fs   vfs.FS
	dir  string
	mu   sync.Mutex
	file vfs.File
}

const (
	witnessName    = "manifest-witness"
	witnessSize    = 24 // checksum, manifest's number, length, checksum of that length
	manifestPrefix = "MANIFEST-"
)

// manifestFile is a manifest being written.
type manifestFile struct {
	vfs.File

	w      *witness
	number uint64
	length uint64
	sum    uint32
	broken bool // a write failed: what the file holds is not known here
}

// Write implements io.Writer. The file beneath may change p, so the checksum comes first.
func (m *manifestFile) Write(p []byte) (int, error) {
	sum := crc32.Update(m.sum, castagnoli, p)
	n, err := m.File.Write(p)
	if err != nil || n < len(p) {
		m.broken = true
	}
	m.length, m.sum = m.length+uint64(len(p)), sum
	return n, err
}

// Sync implements vfs.File.
func (m *manifestFile) Sync() error { return m.synced(m.File.Sync()) }

// SyncData implements vfs.File.
func (m *manifestFile) SyncData() error { return m.synced(m.File.SyncData()) }

func (m *manifestFile) synced(err error) error {
	if err != nil || m.broken {
		return err
	}
	// A witness that cannot be written lags behind; that is no reason to stop.
	_ = m.w.record(m.number, m.length, m.sum)
	return nil
}

func (w *witness) record(number, length uint64, sum uint32) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		f, err := w.fs.OpenReadWrite(w.fs.PathJoin(w.dir, witnessName), vfs.WriteCategoryUnspecified)
		if err != nil {
			return fmt.Errorf("open the manifest's witness: %w", err)
		}
		w.file = f
	}
	var b [witnessSize]byte
	binary.BigEndian.PutUint64(b[4:], number)
	binary.BigEndian.PutUint64(b[12:], length)
	binary.BigEndian.PutUint32(b[20:], sum)
	binary.BigEndian.PutUint32(b[:], crc32.Checksum(b[4:], castagnoli))
	if _, err := w.file.WriteAt(b[:], 0); err != nil {
		return fmt.Errorf("write the manifest's witness: %w", err)
	}
	return nil
}

func (w *witness) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	w.file = nil
	return err
}

// check compares the manifest with what its witness saw, before pebble opens it.
func (w *witness) check() error {
	b, err := readFile(w.fs, w.fs.PathJoin(w.dir, witnessName))
	if err != nil || len(b) < witnessSize || binary.BigEndian.Uint32(b) != crc32.Checksum(b[4:witnessSize], castagnoli) {
		return nil //nolint:nilerr // absent, torn by a power cut or damaged: it is only a second witness
	}
	number, length, sum := binary.BigEndian.Uint64(b[4:]), binary.BigEndian.Uint64(b[12:]), binary.BigEndian.Uint32(b[20:])
	names, err := w.fs.List(w.dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", w.dir, err)
	}
	newest := uint64(0)
	for _, name := range names {
		if n, ok := manifestNumber(name); ok {
			newest = max(newest, n)
			if n != number {
				continue
			}
			m, err := readFile(w.fs, w.fs.PathJoin(w.dir, name))
			if err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			if uint64(len(m)) < length || crc32.Checksum(m[:length], castagnoli) != sum {
				return fmt.Errorf("%w: %s is not as it was synced (%d bytes then)", ErrCorrupt, name, length)
			}
			return nil
		}
	}
	if newest < number { // else it was replaced by a newer one, and the witness lags behind
		return fmt.Errorf("%w: %s%06d is missing", ErrCorrupt, manifestPrefix, number)
	}
	return nil
}

func manifestNumber(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, manifestPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}
