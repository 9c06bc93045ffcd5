package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
)

// sequence decides one request against the heads as the batch under way leaves them, and writes it into the batch.
func (w *writer) sequence(r *Request) {
	w.stated = r.created
	res, again, err := w.decide(r)
	switch {
	case again:
		w.deferred = append(w.deferred, r)
	case err != nil:
		res.Err = err
		fallthrough
	default:
		w.answer(r, res)
	}
}

func (w *writer) decide(r *Request) (res Result, again bool, err error) {
	if err := validStream(r.Stream); err != nil {
		return Result{}, false, err
	}
	h, err := w.head(r.Stream)
	if err != nil {
		return Result{}, false, err
	}
	if r.Kind == scavenge {
		w.remove(r, h)
		return Result{Revision: h.last}, false, nil
	}
	if h.dead {
		return Result{}, false, ErrDeleted
	}
	if r.begins && h.last == noRevision {
		h.first, h.last = int64(r.Expected)+1, int64(r.Expected)
	}
	if w.accepts(r, h) {
		if r.Kind == Append && r.Expected < ExpectNoStream && len(r.Events) > 0 {
			res, known, again, err := w.repeatAny(r, h)
			if known || again || err != nil {
				return res, again, err
			}
		}
		return w.write(r, h)
	}
	if r.Kind == Append && r.Expected >= ExpectNoStream {
		res, known, again, err := w.repeatAt(r, h)
		if known || again || err != nil {
			return res, again, err
		}
	}
	return Result{Revision: h.last}, false, &WrongVersionError{r.Stream, r.Expected, h.last}
}

func validStream(stream string) error {
	switch {
	case stream == "":
		return fmt.Errorf("%w: the stream has no name", ErrInvalid)
	case stream == "$all":
		return fmt.Errorf("%w: $all cannot be written", ErrInvalid)
	case len(stream) > maxStreamName:
		return fmt.Errorf("%w: the stream's name has %d bytes, the limit is %d", ErrInvalid, len(stream), maxStreamName)
	}
	return nil
}

const maxStreamName = 32 << 10

// accepts tells whether the stream is where the request expects it.
func (w *writer) accepts(r *Request, h *head) bool {
	switch r.Expected {
	case ExpectAny:
		return true
	case ExpectNoStream:
		return h.last == noRevision || h.softDeleted()
	case ExpectExists:
		return (h.last != noRevision || h.metaPos > 0) && !h.softDeleted()
	default:
		return h.last == int64(r.Expected)
	}
}

// repeatAt recognises a request whose events already stand where it wants them.
func (w *writer) repeatAt(r *Request, h *head) (res Result, known, again bool, err error) {
	from := int64(r.Expected) + 1
	if r.Expected == ExpectNoStream && h.meta.TruncateBefore > 0 && h.meta.TruncateBefore <= h.last {
		from = h.meta.TruncateBefore // the stream began anew there, after it was deleted softly
	}
	if len(r.Events) == 0 || h.last < from+int64(len(r.Events))-1 {
		return res, false, false, nil
	}
	if _, busy := w.touched[r.Stream]; busy {
		return res, false, true, nil // the events may be in the batch under way, which cannot be read yet
	}
	return w.sameIDs(r, uint64(from))
}

// repeatAny recognises a repeated request by its first event's id, as far as the stream still holds it.
func (w *writer) repeatAny(r *Request, h *head) (res Result, known, again bool, err error) {
	if _, busy := w.ids[r.Events[0].ID]; busy {
		return res, false, true, nil
	}
	v, closer, err := w.s.db.Get(idKey(nil, r.Events[0].ID))
	if errors.Is(err, pebble.ErrNotFound) {
		return res, false, false, nil
	}
	if err != nil {
		return res, false, false, fmt.Errorf("look up event id: %w", err)
	}
	position := binary.BigEndian.Uint64(v)
	if err := closer.Close(); err != nil {
		return res, false, false, fmt.Errorf("look up event id: %w", err)
	}
	var found Record
	var stream string
	if err := w.s.get(position, func(rec *Record) { found, stream = *rec, string(rec.Stream) }); err != nil {
		if errors.Is(err, errAbsent) {
			return res, false, false, nil // scavenged
		}
		return res, false, false, err
	}
	if stream != r.Stream || found.ID != r.Events[0].ID || h.last < int64(found.Revision)+int64(len(r.Events))-1 {
		return res, false, false, nil
	}
	if _, busy := w.touched[r.Stream]; busy {
		return res, false, true, nil
	}
	return w.sameIDs(r, found.Revision)
}

// sameIDs compares the request's ids with the stream's events from a revision on.
func (w *writer) sameIDs(r *Request, from uint64) (res Result, known, again bool, err error) {
	for i := range r.Events {
		position, err := w.s.positionOf(r.Stream, from+uint64(i))
		if errors.Is(err, errAbsent) {
			return res, false, false, nil
		}
		if err != nil {
			return res, false, false, err
		}
		same := false
		err = w.s.get(position, func(rec *Record) { same = rec.ID == r.Events[i].ID })
		if errors.Is(err, errAbsent) {
			return res, false, false, nil
		}
		if err != nil || !same {
			return res, false, false, err
		}
		res = Result{Revision: int64(from) + int64(i), Position: position}
	}
	return res, true, false, nil
}

func (w *writer) write(r *Request, h *head) (Result, bool, error) {
	switch r.Kind {
	case SoftDelete:
		meta, err := w.metadata(r.Stream)
		if err == nil {
			err = w.writeLimits(r.Stream, meta, softDeletedMark)
		}
		return Result{Revision: h.last, Position: w.last}, false, err
	case Tombstone:
		e := &Event{ID: newID(), Type: "$streamDeleted"}
		if r.imported {
			e = &r.Events[0]
		}
		w.put(r.Stream, h, TombstoneRevision, e, false)
		h.dead = true
		return Result{Revision: TombstoneRevision, Position: w.last}, false, nil
	}
	if len(r.Events) == 0 {
		return Result{Revision: h.last}, false, nil
	}
	var meta []byte
	undelete := h.softDeleted() && !r.imported
	if undelete {
		var err error
		if meta, err = w.metadata(r.Stream); err != nil {
			return Result{}, false, err
		}
	}
	begin := h.last + 1
	for i := range r.Events {
		w.put(r.Stream, h, uint64(h.last+1), &r.Events[i], r.Expected < ExpectNoStream)
	}
	res := Result{Revision: h.last, Position: w.last}
	if target, ok := metadataOf(r.Stream); ok {
		return res, false, w.applyLimits(target, w.last, r.Events[len(r.Events)-1].Data)
	}
	if undelete {
		return res, false, w.writeLimits(r.Stream, meta, begin)
	}
	return res, false, nil
}

// put writes one event behind the log's end and moves the stream's head.
func (w *writer) put(stream string, h *head, revision uint64, e *Event, indexID bool) {
	position := w.last + 1
	created := w.stated
	if created == 0 {
		created = w.s.cfg.Now().UnixNano() / 100
	}
	w.created = max(w.created, created)
	w.buf = appendRecord(w.buf[:0], position, revision, w.created, stream, e)
	w.key = allKey(w.key[:0], position)
	w.set(w.key, w.buf)
	p := func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, position) }
	w.index.add(func(b []byte) []byte { return streamKey(b, stream, revision) }, p)
	if indexID {
		w.index.add(func(b []byte) []byte { return idKey(b, e.ID) }, p)
		w.ids[e.ID] = struct{}{}
	}
	w.last = position
	h.pos = position
	if revision != TombstoneRevision {
		h.last = int64(revision)
	}
	w.touched[stream] = struct{}{}
}

// set adds to the batch; a batch that could not be filled is never committed.
func (w *writer) set(key, value []byte) {
	if err := w.batch.Set(key, value, nil); err != nil && w.spoilt == nil {
		w.spoilt = fmt.Errorf("fill batch: %w", err)
	}
}

// metadata is the data of the stream's metadata event in force, none if there is none.
func (w *writer) metadata(stream string) ([]byte, error) {
	meta := "$$" + stream
	if data, ok := w.pendingMeta[meta]; ok {
		return data, nil
	}
	h, err := w.head(meta)
	if err != nil || h.last == noRevision {
		return nil, err
	}
	var data []byte
	position, err := w.s.positionOf(meta, uint64(h.last))
	if err == nil {
		err = w.s.get(position, func(rec *Record) { data = append([]byte(nil), rec.Data...) })
	}
	if err != nil {
		return nil, fmt.Errorf("read metadata of stream %q: %w", stream, err)
	}
	return data, nil
}

// writeLimits appends a metadata event that differs from the one in force in $tb only.
func (w *writer) writeLimits(stream string, now []byte, truncateBefore int64) error {
	fields := map[string]json.RawMessage{}
	if len(now) > 0 && (json.Unmarshal(now, &fields) != nil || fields == nil) {
		fields = map[string]json.RawMessage{}
	}
	fields["$tb"] = json.RawMessage(strconv.FormatInt(truncateBefore, 10))
	data, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("write metadata of stream %q: %w", stream, err)
	}
	mh, err := w.head("$$" + stream)
	if err != nil {
		return err
	}
	w.put("$$"+stream, mh, uint64(mh.last+1), &Event{ID: newID(), Type: "$metadata", JSON: true, Data: data}, false)
	return w.applyLimits(stream, w.last, data)
}

// applyLimits makes a metadata event count for its stream.
func (w *writer) applyLimits(stream string, position uint64, data []byte) error {
	h, err := w.head(stream)
	if err != nil {
		return err
	}
	h.meta = parseLimits(data)
	if _, ofMeta := metadataOf(stream); ofMeta {
		h.meta = Limits{MaxCount: 1}
	}
	h.metaPos = position
	w.pendingMeta["$$"+stream] = append([]byte(nil), data...)
	w.touched[stream] = struct{}{}
	return nil
}

// head gives the stream's head with what the batch under way did to it. Changes to it are written with the batch.
func (w *writer) head(stream string) (*head, error) {
	if c := w.changed[stream]; c != nil {
		return &c.now, nil
	}
	h, ok := w.heads.get(stream)
	if !ok {
		var err error
		if h, err = w.s.loadHead(stream); err != nil {
			return nil, err
		}
	}
	c := w.change()
	c.now, c.before = h, h
	w.changed[stream] = c
	return &c.now, nil
}

// change is a stream's head before and after the batch under way.
type change struct{ now, before head }

const changesAtOnce = 64

// change gives one to be used until the batch is made up.
func (w *writer) change() *change {
	if len(w.changes) == cap(w.changes) {
		w.changes = make([]change, 0, changesAtOnce)
	}
	w.changes = w.changes[:len(w.changes)+1]
	return &w.changes[len(w.changes)-1]
}
