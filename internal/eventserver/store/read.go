package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

var (
	errAbsent    = errors.New("no such event")
	errScavenged = fmt.Errorf("%w: it was scavenged", errAbsent)
)

// get visits the record at a position.
func (s *Store) get(position uint64, visit func(*Record)) error {
	var key [9]byte
	v, closer, err := s.db.Get(allKey(key[:0], position))
	if errors.Is(err, pebble.ErrNotFound) {
		return errAbsent
	}
	if err != nil {
		return fmt.Errorf("read position %d: %w", position, err)
	}
	defer closer.Close()
	var r Record
	if err := decodeRecord(position, v, &r); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if r.Stream == nil {
		return errScavenged
	}
	visit(&r)
	return nil
}

// positionOf looks a revision up.
func (s *Store) positionOf(stream string, revision uint64) (uint64, error) {
	v, closer, err := s.db.Get(streamKey(nil, stream, revision))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, errAbsent
	}
	if err != nil {
		return 0, fmt.Errorf("look up revision %d of stream %q: %w", revision, stream, err)
	}
	defer closer.Close()
	if len(v) != 8 {
		return 0, fmt.Errorf("%w: index of revision %d of stream %q", ErrCorrupt, revision, stream)
	}
	return binary.BigEndian.Uint64(v), nil
}

// ReadAll visits the events of the log in the order of positions, beginning with from, until visit returns false or the
// end that was visible at the call is passed. The writer leaves no gaps, so a missing position is an error.
func (s *Store) ReadAll(from uint64, visit func(*Record) bool) error {
	end := s.visible.Load()
	if from > end {
		return nil
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: allKey(nil, from), UpperBound: allKey(nil, end+1)})
	if err != nil {
		return fmt.Errorf("read log from position %d: %w", from, err)
	}
	defer it.Close()
	var r Record
	want := max(from, 1)
	for ok := it.First(); ok; ok = it.Next() {
		if err := recordAt(it, want, &r); err != nil {
			return err
		}
		want++
		if r.Stream != nil && !visit(&r) {
			return nil
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("read log from position %d: %w", from, err)
	}
	if want <= end {
		return fmt.Errorf("%w: position %d is missing", ErrCorrupt, want)
	}
	return nil
}

// recordAt reads what an iterator of the log is at, which must be a position.
func recordAt(it *pebble.Iterator, position uint64, r *Record) error {
	if binary.BigEndian.Uint64(it.Key()[1:]) != position {
		return fmt.Errorf("%w: position %d is missing", ErrCorrupt, position)
	}
	v, err := it.ValueAndErr()
	if err != nil {
		return fmt.Errorf("read position %d: %w", position, err)
	}
	if err := decodeRecord(position, v, r); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

// ReadAllBackwards visits the events strictly before a position, newest first.
func (s *Store) ReadAllBackwards(before uint64, visit func(*Record) bool) error {
	upper := min(before, s.visible.Load()+1)
	if upper <= 1 {
		return nil
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixAll}, UpperBound: allKey(nil, upper)})
	if err != nil {
		return fmt.Errorf("read log backwards from position %d: %w", before, err)
	}
	defer it.Close()
	var r Record
	want := upper - 1
	for ok := it.Last(); ok; ok = it.Prev() {
		if err := recordAt(it, want, &r); err != nil {
			return err
		}
		want--
		if r.Stream != nil && !visit(&r) {
			return nil
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("read log backwards from position %d: %w", before, err)
	}
	if want != 0 {
		return fmt.Errorf("%w: position %d is missing", ErrCorrupt, want)
	}
	return nil
}

// View is a stream as it may be shown at one moment.
type View struct {
	Stream string
	First  int64 // lowest revision shown
	Last   int64 // highest, -1 if there is none
	Exists bool  // it has or had events and is not deleted
	Dead   bool  // ended by a tombstone, its own or that of the stream whose metadata it is

	oldest int64 // created time of the oldest event shown
	kept   int64
}

// View looks a stream up. What it shows is synced: if the stream is just being written, it waits for that.
func (s *Store) View(ctx context.Context, stream string) (View, error) {
	h, err := s.readableHead(ctx, stream)
	if err != nil {
		return View{}, err
	}
	for target, level := stream, 0; !h.dead && level < metadataLevels; level++ {
		var ok bool
		if target, ok = metadataOf(target); !ok {
			break
		}
		of, err := s.readableHead(ctx, target)
		if err != nil {
			return View{}, err
		}
		h.dead = of.dead
	}
	seen := h.showing(s.cfg.Now())
	return View{Stream: stream, First: seen.first, Last: h.last, Dead: h.dead, oldest: seen.oldest, kept: h.first,
		Exists: h.last != noRevision && !h.dead && !h.softDeleted()}, nil
}

// readableHead is a stream's head once it is synced.
func (s *Store) readableHead(ctx context.Context, stream string) (head, error) {
	h, err := s.loadHead(stream)
	if err != nil {
		return h, err
	}
	if n := h.newest(); n > s.visible.Load() {
		if err = s.waitVisible(ctx, n); err != nil && s.Err() != nil {
			h, err = s.syncedHead(stream, h) // what is ahead will never be visible
		}
		if err != nil {
			return h, fmt.Errorf("read stream %q: %w", stream, err)
		}
	}
	return h, nil
}

// syncedHead is a stream's head without what a failed commit left in memory.
func (s *Store) syncedHead(stream string, h head) (head, error) {
	end := s.visible.Load()
	if h.pos > end {
		h.dead, h.last, h.pos = false, noRevision, 0
		it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: streamKey(nil, stream, 0), UpperBound: streamKey(nil, stream, math.MaxUint64)})
		if err != nil {
			return h, err
		}
		defer it.Close()
		for ok := it.Last(); ok; ok = it.Prev() {
			if v := it.Value(); len(v) == 8 && binary.BigEndian.Uint64(v) <= end {
				key := it.Key()
				h.last, h.pos = int64(binary.BigEndian.Uint64(key[len(key)-8:])), binary.BigEndian.Uint64(v) //nolint:gosec // below 1<<63
				break
			}
		}
		if err := it.Error(); err != nil {
			return h, err
		}
	}
	if h.metaPos <= end {
		return h, nil
	}
	h.metaPos, h.meta = 0, Limits{}
	meta := "$$" + stream
	mh, err := s.loadHead(meta)
	if err == nil {
		mh, err = s.syncedHead(meta, mh)
	}
	if err != nil || mh.last == noRevision {
		return h, err
	}
	h.metaPos = mh.pos
	err = s.get(mh.pos, func(r *Record) { h.meta = parseLimits(r.JSON, r.Data) })
	return h, err
}

// ReadStream visits the stream's events from a revision on, in order and without holes, until visit returns false or the
// view ends. Events older than the stream's $maxAge are left out.
func (s *Store) ReadStream(v View, from int64, visit func(*Record) bool) error {
	from = max(from, v.First)
	if !v.Exists || from > v.Last {
		return nil
	}
	from, err := s.young(v, from)
	if err != nil || from > v.Last {
		return err
	}
	return s.walk(v, from, v.Last, false, visit)
}

// young finds the first revision from one on that is not too old to be shown.
func (s *Store) young(v View, from int64) (int64, error) {
	if v.oldest == math.MinInt64 {
		return from, nil
	}
	old := func(revision int64) (bool, error) {
		position, err := s.positionOf(v.Stream, uint64(revision)) //nolint:gosec // not negative
		old := true
		if err == nil {
			err = s.get(position, func(r *Record) { old = r.Created < v.oldest })
		}
		if errors.Is(err, errAbsent) {
			err = nil // scavenged since: it was too old
		}
		return old, err
	}
	if is, err := old(from); err != nil || !is {
		return from, err
	}
	low, high := from+1, v.Last+1
	for low < high {
		middle := low + (high-low)/2
		is, err := old(middle)
		if err != nil {
			return 0, fmt.Errorf("find the oldest event shown of stream %q: revision %d: %w", v.Stream, middle, err)
		}
		if is {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// ReadStreamBackwards visits the stream's events from a revision down.
func (s *Store) ReadStreamBackwards(v View, from int64, visit func(*Record) bool) error {
	from = min(from, v.Last)
	if !v.Exists || from < v.First {
		return nil
	}
	return s.walk(v, v.First, from, true, visit)
}

// walk visits the revisions low to high, each of which must be there.
func (s *Store) walk(v View, low, high int64, back bool, visit func(*Record) bool) error {
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: streamKey(nil, v.Stream, uint64(low)), UpperBound: streamKey(nil, v.Stream, uint64(high)+1)})
	if err != nil {
		return fmt.Errorf("read stream %q: %w", v.Stream, err)
	}
	defer it.Close()
	step, want, end := it.Next, low, high+1
	var ok bool
	if back {
		step, want, end = it.Prev, high, low-1
		ok = it.Last()
	} else {
		ok = it.First()
	}
	more := true
	for ; ok && more; ok = step() {
		key := it.Key()
		revision := int64(binary.BigEndian.Uint64(key[len(key)-8:]))
		if revision != want && !back && s.scavengedBelow(v.Stream, revision) {
			want = revision
		}
		if revision != want {
			return fmt.Errorf("%w: revision %d of stream %q is missing", ErrCorrupt, want, v.Stream)
		}
		value, err := it.ValueAndErr()
		if err != nil || len(value) != 8 {
			return errors.Join(err, fmt.Errorf("%w: index of revision %d of stream %q", ErrCorrupt, revision, v.Stream))
		}
		position := binary.BigEndian.Uint64(value)
		wrong := false
		err = s.get(position, func(r *Record) {
			if wrong = r.Revision != uint64(revision) || string(r.Stream) != v.Stream; !wrong {
				more = r.Created >= v.oldest && visit(r) // what comes behind one that is too old is older
			}
		})
		switch {
		case errors.Is(err, errScavenged): // since the iterator was made
		case errors.Is(err, errAbsent):
			return fmt.Errorf("%w: revision %d of stream %q: nothing is at position %d", ErrCorrupt, revision, v.Stream, position)
		case err != nil:
			return fmt.Errorf("revision %d of stream %q: %w", revision, v.Stream, err)
		case wrong:
			return fmt.Errorf("%w: revision %d of stream %q: another event is at position %d", ErrCorrupt, revision, v.Stream, position)
		}
		if back {
			want--
		} else {
			want++
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("read stream %q: %w", v.Stream, err)
	}
	if more && want != end && !s.scavengedBelow(v.Stream, want+1) {
		return fmt.Errorf("%w: revision %d of stream %q is missing", ErrCorrupt, want, v.Stream)
	}
	return nil
}

// scavengedBelow tells whether a scavenge took the stream's events below a revision: one may run while a stream is read.
func (s *Store) scavengedBelow(stream string, revision int64) bool {
	h, err := s.loadHead(stream)
	return err == nil && h.first >= revision
}
