package eventserver_test

import (
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Expectations of the model: a revision, or one of these.
const (
	noStream = -1
	anything = -2
	exists   = -4
)

const deletedMark = math.MaxInt64

// answer is what a change is answered: at which revision, or why not.
type answer struct {
	fault    string // "", "deleted", "wrong version"
	revision int64  // of the last event, or where the stream is
}

// modelEvent is an event of the model.
type modelEvent struct {
	id      uuid.UUID // Nil: made by the server
	created time.Time
}

// limits are what a metadata event says.
type limits struct {
	Before   int64 `json:"$tb,omitempty"`
	MaxCount int64 `json:"$maxCount,omitempty"`
	MaxAge   int64 `json:"$maxAge,omitempty"` // seconds
}

// modelStream is a stream as a plain list, with all that ever was in it.
type modelStream struct {
	events []modelEvent
	limits limits
	dead   bool
	taken  int          // those below were scavenged
	meta   *modelStream // its metadata stream
	owner  *modelStream // whose metadata it is
}

func newModelStream() *modelStream {
	s := &modelStream{}
	s.meta = &modelStream{owner: s, limits: limits{MaxCount: 1}}
	return s
}

func (s *modelStream) ended() bool   { return s.dead || s.owner != nil && s.owner.dead }
func (s *modelStream) deleted() bool { return s.limits.Before == deletedMark }
func (s *modelStream) last() int64   { return int64(len(s.events)) - 1 }

// was tells whether there is, or was, anything of the stream.
func (s *modelStream) was() bool {
	return len(s.events) > 0 || s.meta != nil && len(s.meta.events) > 0
}

// shows tells whether a reader sees the revision.
func (s *modelStream) shows(i int, now time.Time) bool {
	switch {
	case s.ended(), s.deleted(), i < s.taken, int64(i) < s.limits.Before:
		return false
	case s.limits.MaxCount > 0 && int64(i) <= s.last()-s.limits.MaxCount:
		return false
	case s.limits.MaxAge > 0 && s.events[i].created.Before(now.Add(-time.Duration(s.limits.MaxAge)*time.Second)):
		return false
	}
	return true
}

// newest is the last revision shown with an id, -1 if there is none.
func (s *modelStream) newest(id uuid.UUID, now time.Time) int64 {
	for i, e := range slices.Backward(s.events) {
		if e.id == id && s.shows(i, now) {
			return int64(i)
		}
	}
	return -1
}

// isAt tells whether the events are shown from a revision on.
func (s *modelStream) isAt(from int64, ids []uuid.UUID, now time.Time) bool {
	for i, id := range ids {
		at := int(from) + i
		if at > int(s.last()) || s.events[at].id != id || !s.shows(at, now) {
			return false
		}
	}
	return len(ids) > 0
}

// check is what the expectation alone says: nil if the stream is where it is expected.
func (s *modelStream) check(expected int64) *answer {
	wrong := &answer{"wrong version", s.last()}
	switch {
	case s.ended(), expected == exists && s.deleted():
		return &answer{fault: "deleted"}
	case expected == anything:
		return nil
	case expected == exists:
		if s.was() {
			return nil
		}
		return wrong
	case expected == noStream && s.deleted(), expected == s.last():
		return nil
	}
	return wrong
}

// append is an append of events with these ids; said is what they say of the owner, if this is a metadata stream.
func (s *modelStream) append(expected int64, ids []uuid.UUID, said *limits, now time.Time) answer {
	refused := s.check(expected)
	if refused != nil && refused.fault == "deleted" {
		return *refused
	}
	switch {
	case refused == nil && expected < noStream:
		known, at := 0, int64(-1)
		for _, id := range ids {
			if at = s.newest(id, now); at >= 0 {
				known++
			}
		}
		if known == len(ids) {
			return answer{revision: at}
		}
		if known > 0 {
			return answer{"wrong version", s.last()}
		}
	case refused != nil && expected >= noStream:
		from := expected + 1
		if expected == noStream && s.limits.Before > 0 && s.limits.Before <= s.last() {
			from = s.limits.Before
		}
		if s.isAt(from, ids, now) {
			return answer{revision: from + int64(len(ids)) - 1}
		}
	}
	if refused != nil {
		return *refused
	}
	at := s.last() + int64(len(ids))
	s.write(ids, said, now)
	return answer{revision: at}
}

func (s *modelStream) write(ids []uuid.UUID, said *limits, now time.Time) {
	began := s.last() + 1
	for _, id := range ids {
		s.events = append(s.events, modelEvent{id, now})
	}
	switch {
	case s.owner == nil && s.deleted():
		s.limits.Before = began
		s.meta.events = append(s.meta.events, modelEvent{created: now})
	case s.owner != nil:
		o := s.owner
		deleted := o.deleted()
		o.limits = limits{}
		if said != nil {
			o.limits = *said
		}
		if deleted && said != nil {
			o.limits.Before = o.last() + 1
			s.events = append(s.events, modelEvent{created: now})
		}
	}
}

func (s *modelStream) delete(expected int64, now time.Time) answer {
	if refused := s.check(expected); refused != nil {
		return *refused
	}
	if !s.was() {
		return answer{"wrong version", -1}
	}
	s.limits.Before = deletedMark
	s.meta.events = append(s.meta.events, modelEvent{created: now})
	return answer{revision: s.last()}
}

func (s *modelStream) tombstone(expected int64) answer {
	if refused := s.check(expected); refused != nil {
		return *refused
	}
	s.dead = true
	return answer{revision: s.last()}
}

// scavenge takes what is hidden.
func (s *modelStream) scavenge(now time.Time) {
	for s.taken < len(s.events) && !s.shows(s.taken, now) {
		s.taken++
	}
	if s.meta != nil {
		s.meta.scavenge(now)
	}
}
