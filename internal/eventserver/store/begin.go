package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"
)

// IncarnationStream holds the history's identity: its newest event's data is {"incarnation":"<uuid>"}. The first event
// of a new store is the first event of this stream; a restored store gets a further one.
const (
	IncarnationStream = "$incarnation"
	IncarnationType   = "$incarnation"
)

const (
	metaFormat      = "format"
	metaIncarnation = "incarnation"
	dirFormat       = 1
)

// begin gives a new directory its identity and checks an old one's.
func (w *writer) begin() error {
	if err := sweepArchives(w.s.cfg.FS, w.s.cfg.Dir); err != nil {
		return err
	}
	format, err := w.s.getMeta(metaFormat)
	switch {
	case err != nil:
		return err
	case format == "":
		return w.s.newIncarnation(w)
	case format != strconv.Itoa(dirFormat):
		return fmt.Errorf("data directory has format %s, this program knows %d", format, dirFormat)
	}
	if w.s.cfg.reincarnate {
		return w.s.newIncarnation(w)
	}
	w.s.incarnation, err = w.s.getMeta(metaIncarnation)
	if err == nil && w.s.incarnation == "" {
		err = fmt.Errorf("%w: the incarnation id is missing", ErrCorrupt)
	}
	return err
}

// newIncarnation makes this a history of its own. The writer does not run yet.
func (s *Store) newIncarnation(w *writer) error {
	id := uuid.NewString()
	data, err := json.Marshal(map[string]string{"incarnation": id})
	if err != nil {
		return err
	}
	w.start(0)
	w.stated = s.cfg.begun
	h, err := w.head(IncarnationStream)
	if err != nil {
		return err
	}
	w.put(IncarnationStream, h, uint64(h.last+1), &Event{ID: newID(), Type: IncarnationType, JSON: true, Data: data}, false)
	w.set(metaKey(metaFormat), []byte(strconv.Itoa(dirFormat)))
	w.set(metaKey(metaIncarnation), []byte(id))
	g := w.group
	g.err = w.apply()
	if w.settle(g); w.failed != nil {
		return fmt.Errorf("begin a new history: %w", w.failed)
	}
	s.incarnation = id
	return nil
}

func (s *Store) getMeta(name string) (string, error) {
	v, closer, err := s.db.Get(metaKey(name))
	if errors.Is(err, pebble.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s of data directory: %w", name, err)
	}
	defer closer.Close()
	return string(v), nil
}

func newID() ID { return ID(uuid.New()) }
