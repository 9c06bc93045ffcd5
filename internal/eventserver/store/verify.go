package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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

// Damage is one thing that is not as it was written.
type Damage struct {
	Stream   string `json:"stream,omitempty"` // if it could be found out
	Revision uint64 `json:"revision"`         // of it, where that means anything
	Position uint64 `json:"position,omitempty"`
	Reason   string `json:"reason"`
}

func (d Damage) String() string {
	var where []string
	if d.Stream != "" {
		where = append(where, fmt.Sprintf("stream %q, revision %d", d.Stream, d.Revision))
	}
	if d.Position > 0 {
		where = append(where, fmt.Sprintf("position %d", d.Position))
	}
	return strings.Join(append(where, d.Reason), ": ")
}

// DamageError is what Verify found; it is an ErrCorrupt.
type DamageError struct {
	Found []Damage
	More  bool // it was not looked any further
}

func (e *DamageError) Error() string {
	lines := make([]string, 0, len(e.Found)+1)
	for _, d := range e.Found {
		lines = append(lines, d.String())
	}
	if e.More {
		lines = append(lines, "and perhaps more")
	}
	return ErrCorrupt.Error() + ":\n" + strings.Join(lines, "\n")
}

func (e *DamageError) Unwrap() error { return ErrCorrupt }

// reason is an error's first line: pebble's go on with what is for its own eyes.
func reason(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(text, ErrCorrupt.Error()+": ")
}

const mostDamage = 100 // found before Verify gives up

// Verify reads every event, every index entry and every stream's head, and compares them with each other, both ways. It
// sees what is visible when it begins; appends go on meanwhile. What is damaged comes as a *DamageError.
func (s *Store) Verify(ctx context.Context) (Report, error) {
	s.maintenance.Lock()
	defer s.maintenance.Unlock()
	position := s.Visible() // before the snapshot, which then has all of it
	snap := s.db.NewSnapshot()
	defer snap.Close()
	v := &verification{s: s, snap: snap, Report: Report{Incarnation: s.incarnation, Position: position}, bad: map[uint64]string{}}
	err := v.log(ctx, false)
	if err == nil {
		err = v.streams(ctx)
	}
	if err == nil && v.indexed != v.Events {
		err = v.log(ctx, true) // which of them are in no index
	}
	for _, position := range slices.Sorted(maps.Keys(v.bad)) { // in no index either
		if v.damaged(Damage{Position: position, Reason: v.bad[position]}) != nil {
			break
		}
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err == nil && len(v.found) > 0 {
		err = &DamageError{v.found, v.more}
	}
	return v.Report, err
}

// verification is one under way.
type verification struct {
	Report

	s       *Store
	snap    *pebble.Snapshot
	indexed uint64
	bad     map[uint64]string // positions whose record cannot be read, and why: the index says whose they are
	found   []Damage
	more    bool
}

var errEnough = errors.New("enough damage was found")

func (v *verification) damaged(d Damage) error {
	if len(v.found) >= mostDamage {
		v.more = true
		return errEnough
	}
	v.found = append(v.found, d)
	return nil
}

// log reads every record of the log, or, later, looks every record up in its stream's index.
func (v *verification) log(ctx context.Context, inIndex bool) error {
	var created int64
	for next := uint64(1); next <= v.Position; {
		err := v.run(next, func(r *Record) error {
			next = r.Position + 1
			if next%4096 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if inIndex {
				return v.findIndexed(r)
			}
			if r.Created < created {
				return v.damaged(Damage{Stream: string(r.Stream), Revision: r.Revision, Position: r.Position, Reason: "created goes back"})
			}
			created = r.Created
			if r.Stream != nil {
				v.Events++
				v.Bytes += uint64(len(r.Data) + len(r.Meta))
			}
			return nil
		})
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errEnough), ctx.Err() != nil:
			return err
		}
		if next > v.Position {
			return nil
		}
		// Reading broke off before next. One by one it goes on, for as long as that fails.
		if err := v.s.get(next, func(*Record) {}); err != nil && !errors.Is(err, errScavenged) && !inIndex {
			if errors.Is(err, errAbsent) {
				err = errors.New("the event is missing in the log")
			}
			if v.bad[next] = reason(err); len(v.bad) >= mostDamage {
				v.more = true
				return errEnough
			}
		}
		next++
	}
	return nil
}

// run visits the records from a position on, the stubs of scavenged ones too, up to the first that cannot be read.
func (v *verification) run(from uint64, visit func(*Record) error) error {
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: allKey(nil, from), UpperBound: allKey(nil, v.Position+1)})
	if err != nil {
		return fmt.Errorf("read log from position %d: %w", from, err)
	}
	defer it.Close()
	var r Record
	for ok := it.First(); ok; ok = it.Next() {
		position := binary.BigEndian.Uint64(it.Key()[1:])
		if position != from {
			return errAbsent
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := decodeRecord(position, value, &r); err != nil {
			return err
		}
		if err := visit(&r); err != nil {
			return err
		}
		from++
	}
	if err := it.Error(); err != nil || from > v.Position {
		return err
	}
	return errAbsent
}

func (v *verification) findIndexed(r *Record) error {
	if r.Stream == nil {
		return nil
	}
	position, err := v.s.positionOf(string(r.Stream), r.Revision)
	if err == nil && position == r.Position || r.Position > v.Position {
		return nil
	}
	return v.damaged(Damage{Stream: string(r.Stream), Revision: r.Revision, Position: r.Position, Reason: "the stream's index does not lead to the event"})
}

// streams walks the index. Each entry must lead to its record, each stream be without holes and end where its
// head says. So the entries are as many as the events exactly if each event has one.
func (v *verification) streams(ctx context.Context) error {
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixStream}, UpperBound: []byte{prefixStream + 1}})
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	defer it.Close()
	w := walk{v: v}
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()
		if len(key) < 10 {
			if err := v.damaged(Damage{Reason: fmt.Sprintf("an index key has %d bytes", len(key))}); err != nil {
				return err
			}
			continue
		}
		p, revision := key[:len(key)-8], binary.BigEndian.Uint64(key[len(key)-8:])
		if !bytes.Equal(p, w.prefix) {
			if err := errors.Join(w.finish(), ctx.Err()); err != nil {
				return err
			}
			if err := w.begin(p); err != nil {
				return err
			}
		}
		if err := w.entry(revision, it.Value()); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return v.damaged(Damage{Stream: w.stream, Revision: uint64(max(w.next-1, 0)), Reason: "the index behind it cannot be read: " + reason(err)})
	}
	return w.finish()
}

// walk is the verification of one stream's index after another.
type walk struct {
	v      *verification
	prefix []byte
	stream string
	head   head
	known  bool // the head could be read
	next   int64
}

func (w *walk) begin(prefix []byte) (err error) {
	w.prefix = append([]byte(nil), prefix...)
	_, n := binary.Uvarint(w.prefix[1:])
	w.stream = string(w.prefix[1+max(n, 0):])
	w.v.Streams++
	w.head, err = w.v.s.headIn(w.v.snap, w.stream, w.v.Position)
	if w.known = err == nil; !w.known {
		w.next = -1
		return w.v.damaged(Damage{Stream: w.stream, Reason: reason(err)})
	}
	w.next = w.head.first
	return nil
}

func (w *walk) finish() error {
	if w.prefix == nil || !w.known || w.next == w.head.last+1 {
		return nil
	}
	return w.v.damaged(Damage{Stream: w.stream, Revision: uint64(max(w.head.last, 0)), Reason: fmt.Sprintf("it is indexed up to revision %d only", w.next-1)})
}

func (w *walk) entry(revision uint64, value []byte) error {
	if len(value) != 8 {
		w.skip(revision)
		return w.v.damaged(Damage{Stream: w.stream, Revision: revision, Reason: fmt.Sprintf("its index entry has %d bytes", len(value))})
	}
	position := binary.BigEndian.Uint64(value)
	if position > w.v.Position {
		return nil // written since
	}
	w.v.indexed++
	wrong := func(reason string) error {
		return w.v.damaged(Damage{Stream: w.stream, Revision: revision, Position: position, Reason: reason})
	}
	switch {
	case revision == TombstoneRevision:
		if w.known && !w.head.dead {
			if err := wrong("the stream's head does not know its tombstone"); err != nil {
				return err
			}
		}
	case w.next >= 0 && int64(revision) != w.next: //nolint:gosec // below 1<<63
		missing := Damage{Stream: w.stream, Revision: uint64(w.next), Reason: fmt.Sprintf("no index entry up to revision %d", revision-1)}
		if w.skip(revision); missing.Revision > revision {
			missing = Damage{Stream: w.stream, Revision: revision, Position: position, Reason: "the stream's head says that it was scavenged"}
		}
		if err := w.v.damaged(missing); err != nil {
			return err
		}
	default:
		w.skip(revision)
	}
	if why, bad := w.v.bad[position]; bad {
		delete(w.v.bad, position)
		return wrong(why)
	}
	same := false
	err := w.v.s.get(position, func(r *Record) { same = string(r.Stream) == w.stream && r.Revision == revision })
	switch {
	case err != nil:
		return wrong(reason(err))
	case !same:
		return wrong("another event is there")
	}
	return nil
}

func (w *walk) skip(revision uint64) { w.next = int64(revision) + 1 } //nolint:gosec // below 1<<63

// headIn is a stream's head as of a position: it does not see later events.
func (s *Store) headIn(snap *pebble.Snapshot, stream string, position uint64) (head, error) {
	v, closer, err := snap.Get(headKey(nil, stream))
	if errors.Is(err, pebble.ErrNotFound) {
		return head{}, errors.New("the stream has events and no head")
	}
	if err != nil {
		return head{}, fmt.Errorf("read the stream's head: %w", err)
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
