package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// DumpOptions say which events are dumped; the zero value: all.
type DumpOptions struct {
	Stream   string       // only this stream's, as a reader sees them; empty: the whole log's
	From     uint64       // the first position that may be dumped
	Progress func(uint64) // called now and then with how many have been; may be nil
}

// Dump writes every event visible now, one JSON object a line, and returns how many. See Line.
func (s *Store) Dump(ctx context.Context, w io.Writer, o DumpOptions) (n uint64, err error) {
	out := bufio.NewWriterSize(w, 1<<20)
	var failed error
	var line []byte
	visit := func(r *Record) bool {
		if r.Position < o.From {
			return true
		}
		if line, failed = AppendLine(line[:0], r); failed == nil {
			_, failed = out.Write(line)
		}
		if n++; failed == nil && n%4096 == 0 {
			failed = ctx.Err()
			if o.Progress != nil {
				o.Progress(n)
			}
		}
		return failed == nil
	}
	if o.Stream == "" {
		err = s.ReadAll(max(o.From, 1), visit)
	} else {
		err = s.dumpStream(ctx, o.Stream, visit)
	}
	if err = errors.Join(err, failed, out.Flush()); err != nil {
		return n, fmt.Errorf("dump events: %w", err)
	}
	return n, nil
}

func (s *Store) dumpStream(ctx context.Context, stream string, visit func(*Record) bool) error {
	v, err := s.View(ctx, stream)
	switch {
	case err != nil:
		return err
	case v.Dead:
		return fmt.Errorf("stream %q: %w", stream, ErrDeleted)
	case !v.Exists:
		return fmt.Errorf("there is no stream %q", stream)
	}
	return s.ReadStream(v, 0, visit)
}
