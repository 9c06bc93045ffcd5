package orchestrator

import (
	"container/list"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// entry is an instance in memory. What it holds is as of the last time it was read or stepped here; another process may
// have gone on, which the exact revision of an append, or a newer row, tells.
type entry struct {
	id es.StreamID

	mu      sync.Mutex      // held while it is stepped, not while its commands are sent
	run     machine.Running // nil: not read, or there is no such stream
	resume  bool            // it was read: a program with another definition may have left something undecided
	next    uint64          // revision of its next event = events in its stream
	saved   uint64          // next, as of the newest row known to be committed; 0: not known
	lastAt  time.Time       // business time of its newest event
	started time.Time
	sending map[es.UUID]*sending

	users int // instances.mu
}

// sending is what this process knows of an effect. It is lost with the process, and costs a repeat then.
type sending struct {
	next     time.Time // not to be sent again before
	tries    int       // sent and accepted, or failed, in a row
	failing  time.Time // since when it fails; zero: it does not
	revision uint64    // of the target stream with the command's events: answers stand there or after
	err      string
}

// instances keeps entries in memory, the least recently used leaving first. One in use stays: two entries of one
// instance would step against each other.
type instances struct {
	mu     sync.Mutex
	most   int
	byID   map[es.StreamID]*list.Element // of *entry
	recent list.List
}

func (is *instances) init(most int) { is.most, is.byID = most, map[es.StreamID]*list.Element{} }

// take gives the entry of an instance, to be left again.
func (is *instances) take(id es.StreamID) *entry {
	is.mu.Lock()
	defer is.mu.Unlock()
	at, ok := is.byID[id]
	if !ok {
		at = is.recent.PushFront(&entry{id: id})
		is.byID[id] = at
	}
	is.recent.MoveToFront(at)
	e := at.Value.(*entry) //nolint:forcetypeassert // nothing else is put in
	e.users++
	return e
}

// peek is take for an instance that is in memory, else nil.
func (is *instances) peek(id es.StreamID) *entry {
	is.mu.Lock()
	defer is.mu.Unlock()
	at, ok := is.byID[id]
	if !ok {
		return nil
	}
	e := at.Value.(*entry) //nolint:forcetypeassert // nothing else is put in
	e.users++
	return e
}

func (is *instances) leave(e *entry) {
	is.mu.Lock()
	defer is.mu.Unlock()
	e.users--
	for at := is.recent.Back(); at != nil && len(is.byID) > is.most; {
		before := at.Prev()
		if old := at.Value.(*entry); old.users == 0 { //nolint:forcetypeassert // likewise
			is.recent.Remove(at)
			delete(is.byID, old.id)
		}
		at = before
	}
}

func (e *entry) drop() { e.run, e.next, e.saved = nil, 0, 0 }

func (e *entry) sendingOf(effect es.UUID) *sending {
	if e.sending == nil {
		e.sending = map[es.UUID]*sending{}
	}
	s := e.sending[effect]
	if s == nil {
		s = &sending{}
		e.sending[effect] = s
	}
	return s
}
