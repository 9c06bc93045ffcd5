package es

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// folded is an aggregate's state and all that the kernel keeps beside it, so that no aggregate has to:
// the revision, the command ids of the last 72 hours, the last business time.
type folded[S any, P State[S]] struct {
	state    S
	next     uint64 // revision of the next event = number of events
	position uint64
	lastAt   time.Time // business time of the newest event
	newest   time.Time // its recorded time
	commands map[UUID]decided
	prune    int // look for old commands when there are more than this
	weight   int // bytes of the events folded
}

type decided struct {
	digest   []byte
	revision uint64
	position uint64
	at       time.Time
	events   []UUID
}

const (
	rememberCommands = 72 * time.Hour
	commandOverhead  = 200 // bytes that remembering a command takes
)

func (f *folded[S, P]) expected() Expected { return Expected(f.next) - 1 } //nolint:gosec // revisions stay below 2^63

func (f *folded[S, P]) revision() uint64 { return max(f.next, 1) - 1 }

// apply folds a recorded event: the aggregate's part and ours.
func (f *folded[S, P]) apply(r Recorded) error {
	if r.Revision != f.next {
		return fmt.Errorf("%s: revision %d follows %d", r.Stream, r.Revision, f.expected())
	}
	if err := evolve[S, P](&f.state, r); err != nil {
		return err
	}
	f.next, f.position, f.lastAt, f.newest = r.Revision+1, r.Position, r.OccurredAt(), r.Created
	if id := r.Meta.Command.ID; !id.IsZero() {
		if f.commands == nil {
			f.commands = map[UUID]decided{}
		}
		d := f.commands[id]
		d.digest, d.revision, d.position, d.at = r.Meta.Command.Digest, r.Revision, r.Position, r.Created
		d.events = append(d.events, r.ID)
		f.commands[id] = d
		f.forget()
	}
	return nil
}

// bytes is about what the state takes in memory: what it says itself, else what its events have, as it may hold on to all of that.
func (f *folded[S, P]) bytes() int {
	weight := f.weight
	if w, ok := any(P(&f.state)).(Weigher); ok {
		weight = w.Weight()
	}
	return weight + commandOverhead*len(f.commands)
}

// place says where an event is that was folded before its append.
func (f *folded[S, P]) place(r Recorded) {
	f.position = r.Position
	if d, ok := f.commands[r.Meta.Command.ID]; ok {
		d.position = r.Position
		f.commands[r.Meta.Command.ID] = d
	}
}

func evolve[S any, P State[S]](s *S, r Recorded) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case UnknownEvent: // it is in the catalogue, and has no place in streams of this kind yet
			err = (&UnreadableError{Type: r.Event.EventType(), Newer: true, Cause: p}).at(r.Stream, r.Revision, r.Meta.Schema)
		default:
			err = (&UnreadableError{Type: r.Event.EventType(), Cause: fmt.Errorf("fold: %v", p)}).at(r.Stream, r.Revision, r.Meta.Schema)
		}
	}()
	P(s).Evolve(r.Event)
	return nil
}

// seen answers a repeated command.
func (f *folded[S, P]) seen(s StreamID, c Call) (r Receipt, seen bool, err error) {
	d, ok := f.commands[c.ID]
	switch {
	case !ok || c.ID.IsZero():
		return Receipt{}, false, nil
	case len(c.Digest) > 0 && !bytes.Equal(c.Digest, d.digest):
		return Receipt{}, true, ErrKeyReused
	}
	return Receipt{Stream: s, Revision: d.revision, Position: d.position, Events: slices.Clone(d.events), Replayed: true}, true, nil
}

// forget drops commands decided more than 72 h before the newest event. It looks only after the map has doubled,
// so that it costs nothing per event; what is kept a little longer does no harm.
func (f *folded[S, P]) forget() {
	if len(f.commands) <= max(f.prune, 256) {
		return
	}
	for id, d := range f.commands {
		if f.newest.Sub(d.at) > rememberCommands {
			delete(f.commands, id)
		}
	}
	f.prune = 2 * len(f.commands)
}
