package store

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
)

// Line is one event of a dump: JSON data and metadata stand in it as they are stored, byte for byte; other bytes in base64.
type Line struct {
	Position uint64          `json:"position"`
	Stream   string          `json:"stream"`
	Revision uint64          `json:"revision"`
	ID       uuid.UUID       `json:"id"`
	Type     string          `json:"type"`
	Created  int64           `json:"created"` // ticks of 100 ns since 1970
	JSON     bool            `json:"json,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
	Bytes    []byte          `json:"bytes,omitempty"` // instead of data
	Meta     json.RawMessage `json:"meta,omitempty"`
	MetaRaw  []byte          `json:"meta_bytes,omitempty"` // instead of meta
}

// Dump writes every event visible now, one JSON object a line, and returns how many.
func (s *Store) Dump(ctx context.Context, w io.Writer) (n uint64, err error) {
	out := bufio.NewWriterSize(w, 1<<20)
	var failed error
	err = s.ReadAll(1, func(r *Record) bool {
		l := Line{Position: r.Position, Stream: string(r.Stream), Revision: r.Revision, ID: uuid.UUID(r.ID), Type: string(r.Type), Created: r.Created, JSON: r.JSON}
		l.Data, l.Bytes = verbatim(r.Data)
		l.Meta, l.MetaRaw = verbatim(r.Meta)
		var b []byte
		if b, failed = marshalLine(&l); failed == nil {
			_, failed = out.Write(b)
		}
		if failed == nil && n%4096 == 0 {
			failed = ctx.Err()
		}
		n++
		return failed == nil
	})
	if err = errors.Join(err, failed, out.Flush()); err != nil {
		return n, fmt.Errorf("dump events: %w", err)
	}
	return n, nil
}

// verbatim gives bytes as JSON if a reader of the line will get the very same bytes back.
func verbatim(b []byte) (raw json.RawMessage, other []byte) {
	if len(b) == 0 {
		return nil, nil
	}
	if json.Valid(b) {
		if again, err := json.Marshal(json.RawMessage(b)); err == nil && string(again) == string(b) {
			return b, nil
		}
	}
	return nil, b
}

func marshalLine(l *Line) ([]byte, error) {
	b, err := json.Marshal(l)
	return append(b, '\n'), err
}

// Import makes a data directory, which must not exist yet, of a dump, with the ids and created times of its events. Streams
// keep their revisions; positions are new, and so is the incarnation, whose event is as old as the dump's first. The
// old store's incarnations are left out.
func Import(ctx context.Context, r io.Reader, cfg Config) (n uint64, err error) {
	cfg = cfg.withDefaults()
	if _, err := cfg.FS.Stat(cfg.Dir); err == nil {
		return 0, fmt.Errorf("import to %s: it exists already", cfg.Dir)
	}
	in := &lines{d: json.NewDecoder(bufio.NewReaderSize(r, 1<<20))}
	batch, err := in.next(nil)
	if err != nil {
		return 0, err
	}
	if len(batch) > 0 {
		cfg.begun = batch[0].Created
	}
	s, err := Open(cfg)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for len(batch) > 0 {
		if err := s.importBatch(ctx, batch); err != nil {
			return n, fmt.Errorf("import: up to line %d: %w", in.read, err)
		}
		n += uint64(len(batch))
		if batch, err = in.next(batch[:0]); err != nil {
			return n, err
		}
	}
	return n, nil
}

// lines reads a dump.
type lines struct {
	d    *json.Decoder
	read int
	end  bool
}

// next reads some events more, none at the end.
func (in *lines) next(batch []Line) ([]Line, error) {
	for !in.end && len(batch) < importBatch {
		var l Line
		err := in.d.Decode(&l)
		if errors.Is(err, io.EOF) {
			in.end = true
			break
		}
		if in.read++; err != nil {
			return nil, fmt.Errorf("import: line %d: %w", in.read, err)
		}
		if l.Stream != IncarnationStream {
			batch = append(batch, l)
		}
	}
	return batch, nil
}

const importBatch = 500

func (s *Store) importBatch(ctx context.Context, batch []Line) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	results := make(chan error, len(batch))
	src := &Source{}
	for i := range batch {
		l := &batch[i]
		e := Event{ID: ID(l.ID), Type: l.Type, JSON: l.JSON, Data: l.Data, Meta: l.Meta}
		if l.Bytes != nil {
			e.Data = l.Bytes
		}
		if l.MetaRaw != nil {
			e.Meta = l.MetaRaw
		}
		request := &Request{Stream: l.Stream, Expected: Expected(min(l.Revision, TombstoneRevision)) - 1, Events: []Event{e}, imported: true, created: l.Created,
			Done: func(res Result) {
				if res.Err != nil {
					res.Err = fmt.Errorf("stream %q, revision %d: %w", l.Stream, l.Revision, res.Err)
				}
				results <- res.Err
			}}
		if l.Revision == TombstoneRevision {
			request.Kind, request.Expected, request.Events = Tombstone, ExpectAny, nil
		}
		s.Submit(src, request)
	}
	var err error
	for range batch {
		err = errors.Join(err, <-results)
	}
	return err
}
