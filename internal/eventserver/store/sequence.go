package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
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
	if err := w.alive(r, h); err != nil {
		return Result{}, false, err
	}
	if r.begins && h.last == noRevision {
		h.first, h.last = int64(r.Expected)+1, int64(r.Expected)
	}
	accepted := w.accepts(r, h)
	if r.Kind == Append && accepted == r.byID() {
		repeat := w.repeatAt
		if accepted {
			repeat = w.repeatAny
		}
		res, known, again, err := repeat(r, h)
		if known || again || err != nil {
			return res, again, err
		}
	}
	if !accepted {
		return Result{Revision: h.last}, false, &WrongVersionError{r.Stream, r.Expected, h.last}
	}
	return w.write(r, h)
}

// alive refuses a request to a stream that was ended by a tombstone, its own or that of the stream whose metadata it is, and one
// that expects a stream to exist which was deleted softly.
func (w *writer) alive(r *Request, h *head) error {
	if h.dead || r.Expected == ExpectExists && h.softDeleted() {
		return ErrDeleted
	}
	for target, level := r.Stream, 0; level < metadataLevels && !r.imported; level++ { // a dump's metadata may be older than this rule
		var ok bool
		if target, ok = metadataOf(target); !ok {
			break
		}
		of, err := w.head(target)
		if err != nil {
			return err
		}
		if of.dead {
			return ErrDeleted
		}
	}
	return nil
}

// metadataLevels bounds how far metadata of metadata is followed.
const metadataLevels = 4

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
		return r.Kind != SoftDelete || h.last != noRevision || h.metaPos > 0
	case ExpectNoStream:
		if r.Kind == SoftDelete && h.last == noRevision {
			return h.metaPos > 0 // what never was cannot be deleted
		}
		return h.last == noRevision || h.softDeleted()
	case ExpectExists:
		return h.last != noRevision || h.metaPos > 0
	default:
		return h.last == int64(r.Expected)
	}
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
		w.put(r.Stream, h, uint64(h.last+1), &r.Events[i], r.byID())
	}
	res := Result{Revision: h.last, Position: w.last}
	if target, ok := metadataOf(r.Stream); ok {
		return res, false, w.describe(target, &r.Events[len(r.Events)-1], r.imported)
	}
	if undelete {
		return res, false, w.writeLimits(r.Stream, meta, begin)
	}
	return res, false, nil
}

// describe makes a metadata event of a client's count. If it describes a stream that was deleted softly, the stream is there again,
// and shows nothing of what it held.
func (w *writer) describe(stream string, e *Event, imported bool) error {
	h, err := w.head(stream)
	if err != nil {
		return err
	}
	deleted, begin := h.softDeleted() && !imported, h.last+1
	if err := w.applyLimits(stream, w.last, e.JSON, e.Data); err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if deleted && json.Unmarshal(e.Data, &fields) == nil && fields != nil {
		return w.writeLimits(stream, e.Data, begin)
	}
	return nil
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
	w.index.add(func(b []byte) []byte { return streamKey(b, stream, revision) },
		func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, position) })
	if indexID && h.named == int64(revision) { //nolint:gosec // below 1<<63
		w.addID(stream, e.ID, position)
		w.ids[e.ID] = struct{}{}
		h.named++
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
	return w.applyLimits(stream, w.last, true, data)
}

// applyLimits makes a metadata event count for its stream.
func (w *writer) applyLimits(stream string, position uint64, isJSON bool, data []byte) error {
	h, err := w.head(stream)
	if err != nil {
		return err
	}
	h.meta = parseLimits(isJSON, data)
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
