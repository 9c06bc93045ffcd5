package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// A repeat is a request whose events the stream shows already. Only what a reader sees counts: an append that is answered as
// a repeat of hidden events would be lost. Where the request names a revision, its events are looked for there; with ExpectAny
// and ExpectExists, by their ids, of which the index has those below head.named. Events appended at a revision are not
// put in the index as they are written, which would cost every append a fifth more; the first request that asks for ids does that.

// namedAtOnce is how many events one group puts in the index for requests that ask for ids, beside twice as many as it has requests.
// A request that needs more waits for the next group.
const namedAtOnce = 256

// repeatAt recognises a request whose events stand, and are shown, where it wants them.
func (w *writer) repeatAt(r *Request, h *head) (res Result, known, again bool, err error) {
	from := int64(r.Expected) + 1
	if r.Expected == ExpectNoStream && h.meta.TruncateBefore > 0 && h.meta.TruncateBefore <= h.last {
		from = h.meta.TruncateBefore // the stream began anew there, after it was deleted softly
	}
	seen := h.showing(w.now)
	if len(r.Events) == 0 || from < seen.first || h.last < from+int64(len(r.Events))-1 {
		return res, false, false, nil
	}
	if _, busy := w.touched[r.Stream]; busy {
		return res, false, true, nil // the events may be in the batch under way, which cannot be read yet
	}
	for i := range r.Events {
		position, err := w.s.positionOf(r.Stream, uint64(from)+uint64(i))
		same := false
		if err == nil {
			err = w.s.get(position, func(rec *Record) { same = rec.ID == r.Events[i].ID && rec.Created >= seen.oldest })
		}
		if errors.Is(err, errAbsent) {
			return res, false, false, nil
		}
		if err != nil || !same {
			return res, false, false, err
		}
		res = Result{Revision: from + int64(i), Position: position}
	}
	return res, true, false, nil
}

// repeatAny recognises a request by its ids. A stream that shows all of its events makes it a repeat, one that shows none makes
// it new. One that shows some makes it a conflict: whether it was written is unknown, and writing it would double them.
func (w *writer) repeatAny(r *Request, h *head) (res Result, known, again bool, err error) {
	if h.last == noRevision || h.softDeleted() {
		return res, false, false, nil
	}
	if again, err := w.name(r.Stream, h); again || err != nil {
		return res, false, again, err
	}
	for i := range r.Events {
		if _, busy := w.ids[r.Events[i].ID]; busy {
			return res, false, true, nil
		}
	}
	seen, found := h.showing(w.now), 0
	for i := range r.Events {
		at, ok, err := w.find(r.Stream, r.Events[i].ID, seen)
		if err != nil {
			return res, false, false, err
		}
		if ok {
			found++
			res = at
		}
		if found > 0 && found <= i {
			return res, false, false, &WrongVersionError{r.Stream, r.Expected, h.last}
		}
	}
	return res, found > 0, false, nil
}

// find looks an event up that the stream shows.
func (w *writer) find(stream string, id ID, seen showing) (res Result, ok bool, err error) {
	position, err := w.positionOfID(stream, id)
	if err == nil {
		err = w.s.get(position, func(rec *Record) {
			ok = rec.ID == id && string(rec.Stream) == stream && rec.Created >= seen.oldest && int64(rec.Revision) >= seen.first //nolint:gosec // below 1<<63
			res = Result{Revision: int64(rec.Revision), Position: position}                                                      //nolint:gosec // below 1<<63
		})
	}
	if errors.Is(err, errAbsent) {
		err = nil
	}
	return res, ok, err
}

func (w *writer) positionOfID(stream string, id ID) (uint64, error) {
	w.key = idKey(w.key[:0], stream, id)
	v, closer, err := w.s.db.Get(w.key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, errAbsent
	}
	if err != nil {
		return 0, fmt.Errorf("look up an event of stream %q by its id: %w", stream, err)
	}
	defer closer.Close() //nolint:errcheck // it was only read
	if len(v) != 8 {
		return 0, fmt.Errorf("%w: index of the ids of stream %q", ErrCorrupt, stream)
	}
	return binary.BigEndian.Uint64(v), nil
}

// name puts those events of a stream in the index of ids that are not there yet, and tells whether the request must wait: for them,
// or for events in the batch under way, which cannot be read yet.
func (w *writer) name(stream string, h *head) (again bool, err error) {
	if h.named > h.last {
		return false, nil
	}
	if _, busy := w.touched[stream]; busy {
		return true, nil
	}
	h.named = max(h.named, h.first)
	for ; h.named <= h.last && w.toName > 0; h.named++ {
		w.toName--
		position, err := w.s.positionOf(stream, uint64(h.named))
		if err == nil {
			err = w.s.get(position, func(rec *Record) { w.addID(stream, rec.ID, position) })
		}
		if err != nil && !errors.Is(err, errAbsent) {
			return false, fmt.Errorf("find the events of stream %q by their ids: revision %d: %w", stream, h.named, err)
		}
	}
	return true, nil
}

func (w *writer) addID(stream string, id ID, position uint64) {
	w.index.add(func(b []byte) []byte { return idKey(b, stream, id) }, func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, position) })
}

// forget takes an event out of the index of ids, unless that leads to a later one by now.
func (w *writer) forget(stream string, x removal) {
	position, err := w.positionOfID(stream, x.id)
	if err == nil && position == x.position {
		err = w.batch.Delete(w.key, nil)
	}
	if err != nil && !errors.Is(err, errAbsent) && w.spoilt == nil {
		w.spoilt = fmt.Errorf("fill batch: %w", err)
	}
}
