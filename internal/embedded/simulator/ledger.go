package simulator

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// change is one entry of the ledger: a charge as it is from now on, and the operation that made it so, if one did.
type change struct {
	Charge    Charge     `json:"charge"`
	Operation *Operation `json:"operation,omitempty"`
}

type batch struct {
	Version int      `json:"v"`
	Changes []change `json:"changes"`
}

const (
	ledgerName    = "ledger.jsonl"
	ledgerVersion = 1
	batchMost     = 512 // changes
)

// ledger appends changes to the file, many in one sync.
type ledger struct {
	file  *os.File
	size  int64 // of what is synced
	queue chan *entry
	stop  chan struct{} // closed: no more
	ended chan struct{} // closed by the writer when it has left
	err   error         // why; read after ended
}

// ref is where a change is in the file.
type ref struct {
	line int64 // its batch's: where it begins
	size int32 // of the line
	n    int32 // which of the batch
}

type entry struct {
	change change
	at     ref // once done says nil
	done   chan error
}

var (
	errStopped = errors.New("the simulator is stopping")
	errDamaged = errors.New("the ledger is damaged")
	// errFull: the change is not in the ledger, and a later one may be.
	errFull    = errors.New("the disk of the simulator's ledger is full")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// openLedger reads every change into apply, in order, and is ready for more.
func openLedger(dir string, log *slog.Logger, apply func(change, ref)) (*ledger, error) {
	path := filepath.Join(dir, ledgerName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the simulator's ledger: %w", err)
	}
	good, err := readLedger(f, apply)
	if err == nil {
		err = cut(f, good, log)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the simulator's ledger %s: %w", path, err), f.Close())
	}
	l := &ledger{file: f, size: good, queue: make(chan *entry, batchMost), stop: make(chan struct{}), ended: make(chan struct{})}
	go l.write()
	return l, nil
}

// readLedger gives the length of the good part. What follows a bad line must be nothing.
func readLedger(f *os.File, apply func(change, ref)) (good int64, err error) {
	r := bufio.NewReaderSize(f, 1<<20)
	var bad error
	for at := 1; ; at++ {
		line, err := r.ReadBytes('\n')
		if len(line) == 0 && errors.Is(err, io.EOF) {
			return good, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return good, err
		}
		if bad != nil {
			return good, bad
		}
		b, cause := readLine(line)
		if cause != nil {
			bad = fmt.Errorf("line %d: %w: %w", at, errDamaged, cause)
			continue
		}
		if b.Version != ledgerVersion {
			return good, fmt.Errorf("line %d is of version %d, this program knows %d", at, b.Version, ledgerVersion)
		}
		for i, c := range b.Changes {
			apply(c, ref{good, int32(len(line)), int32(i)}) //nolint:gosec // of one batch
		}
		good += int64(len(line))
	}
}

func readLine(line []byte) (b batch, err error) {
	body, whole := bytes.CutSuffix(line, []byte("\n"))
	sum, body, ok := bytes.Cut(body, []byte(" "))
	if !whole || !ok {
		return b, errors.New("incomplete line")
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || uint32(want) != crc32.Checksum(body, castagnoli) {
		return b, errors.New("checksum does not match")
	}
	return b, json.Unmarshal(body, &b)
}

// cut takes away what a crash left of an unsynced batch, so that the next one begins a line.
func cut(f *os.File, good int64, log *slog.Logger) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end == good {
		return err
	}
	log.Warn("the simulator's ledger ends in a batch that was never synced; it is cut off", "bytes", end-good)
	if err := f.Truncate(good); err != nil {
		return err
	}
	if _, err := f.Seek(good, io.SeekStart); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes the file's name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// append returns when the change is on disk, or will never be known to be.
func (l *ledger) append(c change) (ref, error) {
	e := &entry{change: c, done: make(chan error, 1)}
	select {
	case l.queue <- e:
	case <-l.stop:
		return ref{}, errStopped
	}
	select {
	case err := <-e.done:
		return e.at, err
	case <-l.ended:
		select {
		case err := <-e.done:
			return e.at, err
		default:
			return ref{}, errStopped
		}
	}
}

// read gives a change that is on disk.
func (l *ledger) read(r ref) (change, error) {
	line := make([]byte, r.size)
	if _, err := l.file.ReadAt(line, r.line); err != nil {
		return change{}, fmt.Errorf("read the simulator's ledger at byte %d: %w", r.line, err)
	}
	b, err := readLine(line)
	if err == nil && int(r.n) >= len(b.Changes) {
		err = errors.New("a shorter batch")
	}
	if err != nil {
		return change{}, fmt.Errorf("%w at byte %d: %w", errDamaged, r.line, err)
	}
	return b.Changes[r.n], nil
}

func (l *ledger) write() {
	defer close(l.ended)
	for {
		var pending []*entry
		select {
		case e := <-l.queue:
			pending = append(pending, e)
		case <-l.stop:
			return
		}
		for more := true; more && len(pending) < batchMost; {
			select {
			case e := <-l.queue:
				pending = append(pending, e)
			default:
				more = false
			}
		}
		err := l.sync(pending)
		for _, e := range pending {
			e.done <- err
		}
		if err != nil && !errors.Is(err, errFull) { // what the file holds now is unknown: nothing may follow
			l.err = err
			return
		}
	}
}

func (l *ledger) sync(pending []*entry) error {
	b := batch{Version: ledgerVersion, Changes: make([]change, len(pending))}
	for i, e := range pending {
		b.Changes[i] = e.change
	}
	body, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encode the simulator's ledger: %w", err)
	}
	line := fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(body, castagnoli), body)
	_, err = l.file.Write(line)
	if err == nil {
		err = l.file.Sync()
	}
	switch {
	case err == nil:
		for i, e := range pending {
			e.at = ref{l.size, int32(len(line)), int32(i)} //nolint:gosec // of one batch
		}
		l.size += int64(len(line))
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		if back := l.rewind(); back != nil {
			return fmt.Errorf("take an unfinished batch out of the simulator's ledger: %w", back)
		}
		return fmt.Errorf("%w: %w", errFull, err)
	default:
		return fmt.Errorf("write the simulator's ledger: %w", err)
	}
}

// rewind takes away what was written after the last sync.
func (l *ledger) rewind() error {
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	if _, err := l.file.Seek(l.size, io.SeekStart); err != nil {
		return err
	}
	return l.file.Sync()
}

// close ends the writer after the batch it is at.
func (l *ledger) close() error {
	close(l.stop)
	<-l.ended
	return l.file.Close()
}
