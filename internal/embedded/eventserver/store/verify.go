package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Report is what a verification found to be whole.
type Report struct {
	Incarnation string `json:"incarnation"`
	Position    uint64 `json:"position"`
	Events      uint64 `json:"events"`
	Streams     uint64 `json:"streams"`
	Bytes       uint64 `json:"bytes"` // of data and metadata
}

// Verify reads every event, every index entry and every stream's head, and compares them with each other. It
// sees what is visible when it begins; appends go on meanwhile.
func (s *Store) Verify(ctx context.Context) (Report, error) {
	s.maintenance.Lock()
	defer s.maintenance.Unlock()
	snap := s.db.NewSnapshot()
	defer snap.Close()
	r := Report{Incarnation: s.incarnation, Position: s.Visible()}
	if err := s.verifyLog(ctx, &r); err != nil {
		return r, err
	}
	indexed, err := s.verifyStreams(ctx, snap, &r)
	if err == nil && indexed != r.Events {
		err = fmt.Errorf("%w: the log has %d events, the streams' index %d", ErrCorrupt, r.Events, indexed)
	}
	return r, err
}

func (s *Store) verifyLog(ctx context.Context, r *Report) error {
	var created int64
	var wrong error
	err := s.ReadAll(1, func(rec *Record) bool {
		if rec.Position > r.Position {
			return false
		}
		r.Events++
		r.Bytes += uint64(len(rec.Data) + len(rec.Meta))
		if rec.Created < created {
			wrong = fmt.Errorf("%w: created goes back at position %d", ErrCorrupt, rec.Position)
		}
		created = rec.Created
		if wrong == nil && r.Events%4096 == 0 {
			wrong = ctx.Err()
		}
		return wrong == nil
	})
	return errors.Join(err, wrong)
}

// verifyStreams walks the index. Each entry must lead to its record, each stream be without holes and end where its
// head says. So the entries are as many as the events exactly if each event has one.
func (s *Store) verifyStreams(ctx context.Context, snap *pebble.Snapshot, r *Report) (indexed uint64, err error) {
	it, err := snap.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixStream}, UpperBound: []byte{prefixStream + 1}})
	if err != nil {
		return 0, fmt.Errorf("read index: %w", err)
	}
	defer it.Close()
	var prefix []byte
	var h head
	var stream string
	next := int64(0)
	finish := func() error {
		if prefix != nil && next != h.last+1 {
			return fmt.Errorf("%w: stream %q is indexed up to revision %d, its head says %d", ErrCorrupt, stream, next-1, h.last)
		}
		return nil
	}
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()
		if len(key) < 10 {
			return indexed, fmt.Errorf("%w: an index key of %d bytes", ErrCorrupt, len(key))
		}
		p, revision := key[:len(key)-8], binary.BigEndian.Uint64(key[len(key)-8:])
		position := binary.BigEndian.Uint64(append(it.Value(), make([]byte, 8)...))
		if !bytes.Equal(p, prefix) {
			if err := errors.Join(finish(), ctx.Err()); err != nil {
				return indexed, err
			}
			prefix = append([]byte(nil), p...)
			_, n := binary.Uvarint(p[1:])
			stream = string(p[1+max(n, 0):])
			if h, err = s.headIn(snap, stream, r.Position); err != nil {
				return indexed, err
			}
			next = h.first
			r.Streams++
		}
		if position > r.Position {
			continue // written since
		}
		indexed++
		if revision != TombstoneRevision {
			if int64(revision) != next {
				return indexed, fmt.Errorf("%w: revision %d of stream %q is missing", ErrCorrupt, next, stream)
			}
			next++
		} else if !h.dead {
			return indexed, fmt.Errorf("%w: stream %q has a tombstone that its head does not know", ErrCorrupt, stream)
		}
		same := false
		err := s.get(position, func(rec *Record) { same = string(rec.Stream) == stream && rec.Revision == revision })
		if err != nil || !same {
			return indexed, errors.Join(err, fmt.Errorf("%w: revision %d of stream %q does not stand at position %d", ErrCorrupt, revision, stream, position))
		}
	}
	return indexed, errors.Join(it.Error(), finish())
}

// headIn is a stream's head as of a position: of later events it is not told.
func (s *Store) headIn(snap *pebble.Snapshot, stream string, position uint64) (head, error) {
	v, closer, err := snap.Get(headKey(nil, stream))
	if err != nil {
		return head{}, fmt.Errorf("%w: stream %q has events and no head: %w", ErrCorrupt, stream, err)
	}
	defer closer.Close()
	h, err := decodeHead(stream, v)
	if err != nil || h.pos <= position {
		return h, err
	}
	it, err := snap.NewIter(&pebble.IterOptions{LowerBound: streamKey(nil, stream, 0), UpperBound: streamKey(nil, stream, 1<<63-1)})
	if err != nil {
		return h, fmt.Errorf("read index of stream %q: %w", stream, err)
	}
	defer it.Close()
	h.last = h.first - 1
	for ok := it.Last(); ok; ok = it.Prev() {
		if len(it.Value()) == 8 && binary.BigEndian.Uint64(it.Value()) <= position {
			h.last = int64(binary.BigEndian.Uint64(it.Key()[len(it.Key())-8:])) //nolint:gosec // below 1<<63
			break
		}
	}
	return h, it.Error()
}
