package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// ImportOptions say how a dump is taken in. The zero value works.
type ImportOptions struct {
	// Partial lets a stream that has no events begin at a later revision than 0: its earlier events were scavenged, or not dumped.
	Partial bool
	// LeaveSystem leaves out the events of streams whose name begins with $, but not other streams' metadata.
	LeaveSystem bool
	// MaxEventBytes bounds type, data and metadata of one event; 0: no bound below that of a line, 64 MiB.
	MaxEventBytes int
	// Progress is called now and then; may be nil.
	Progress func(Imported)
}

// Imported counts what became of a dump's lines.
type Imported struct {
	Lines   uint64 `json:"lines"`    // read
	Added   uint64 `json:"added"`    // events
	Present uint64 `json:"present"`  // events that the store had, with these ids at these places
	LeftOut uint64 `json:"left_out"` // other histories' incarnation, and system events if asked for
	Redated uint64 `json:"redated"`  // of those added: created as late as the store's newest event, which is later than the line says
}

// LineError says which line of a dump could not be taken in, and why. All lines before it have been.
type LineError struct {
	Line uint64 // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

const (
	importBatch = 2000
	importBytes = 4 << 20
	mostLine    = 64 << 20
)

// Import adds a dump's events with their ids, revisions and created times; positions are new. What the store has already, by
// id and place, is left as it is: an import that was broken off goes on when it is repeated. Each line before one that cannot be
// taken in has been taken in when Import returns, a *LineError says which that is.
func (s *Store) Import(ctx context.Context, r io.Reader, o ImportOptions) (total Imported, err error) {
	in := newLines(r, o)
	for {
		batch, err := in.next()
		if len(batch) > 0 {
			if err := s.importBatch(ctx, batch, in, &total); err != nil {
				total.Lines, total.LeftOut = in.read, in.leftOut
				return total, err
			}
		}
		total.Lines, total.LeftOut = in.read, in.leftOut
		if o.Progress != nil {
			o.Progress(total)
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// Import adds a dump to a data directory that no server has open. If there is none yet, the new one's first event, which says
// what history it is, is as old as the dump's first, so that every event keeps its time.
func Import(ctx context.Context, r io.Reader, cfg Config, o ImportOptions) (total Imported, err error) {
	cfg = cfg.withDefaults()
	buffered := bufio.NewReaderSize(r, 1<<20)
	if !Exists(cfg.FS, cfg.Dir) {
		if err := vacant(cfg.FS, cfg.Dir); err != nil {
			return total, err
		}
		first, text, err := firstLine(buffered, o)
		if err != nil {
			return total, err
		}
		if first != nil {
			cfg.begun = first.Created
		}
		r = io.MultiReader(bytes.NewReader(text), buffered)
	} else {
		r = buffered
	}
	s, err := Open(cfg)
	if err != nil {
		return total, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Import(ctx, r, o)
}

// firstLine reads up to the first event, and gives the text read, which is to be read again.
func firstLine(r io.Reader, o ImportOptions) (*Line, []byte, error) {
	var text bytes.Buffer
	in := newLines(io.TeeReader(r, &text), o)
	l, err := in.one()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	return l, text.Bytes(), nil
}

// numbered is a line and its number in the dump.
type numbered struct {
	*Line

	number uint64
}

// lines reads a dump.
type lines struct {
	r       *bufio.Reader
	o       ImportOptions
	read    uint64
	leftOut uint64
}

func newLines(r io.Reader, o ImportOptions) *lines {
	b, ok := r.(*bufio.Reader)
	if !ok {
		b = bufio.NewReaderSize(r, 64<<10)
	}
	return &lines{r: b, o: o}
}

// next reads some events more. What could be read comes also with an error, which is io.EOF at the end.
func (in *lines) next() (batch []numbered, err error) {
	for size := 0; len(batch) < importBatch && size < importBytes; {
		l, err := in.one()
		if err != nil {
			return batch, err
		}
		batch = append(batch, numbered{l, in.read})
		size += len(l.Bytes) + len(l.MetaBytes)
	}
	return batch, nil
}

// one reads the next event.
func (in *lines) one() (*Line, error) {
	for {
		text, err := in.text()
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		l, err := parseLine(text)
		if err == nil && in.o.MaxEventBytes > 0 && len(l.Type)+len(l.Bytes)+len(l.MetaBytes) > in.o.MaxEventBytes {
			err = fmt.Errorf("the event is larger than the %d bytes that may be appended", in.o.MaxEventBytes)
		}
		if err != nil {
			return nil, &LineError{in.read, err}
		}
		if l.Stream == IncarnationStream || in.o.LeaveSystem && l.system() {
			in.leftOut++
			continue
		}
		return l, nil
	}
}

// text reads the next line. The dump's last one may lack its end, if it is whole otherwise.
func (in *lines) text() ([]byte, error) {
	var line []byte
	for {
		part, err := in.r.ReadSlice('\n')
		if len(line) == 0 && len(part) > 0 {
			in.read++
		}
		line = append(line, part...)
		switch {
		case len(line) > mostLine:
			return nil, &LineError{in.read, fmt.Errorf("it is longer than %d MiB", mostLine>>20)}
		case err == nil:
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		default:
			return nil, fmt.Errorf("read the dump behind line %d: %w", in.read, err)
		}
	}
}
