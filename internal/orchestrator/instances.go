package orchestrator

import (
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

	recorded int // bytes of the events that run is folded from
}

// sending is what this process knows of an effect. It is lost with the process, and costs a repeat then.
type sending struct {
	next     time.Time // not to be sent again before
	tries    int       // sent and accepted, or failed, in a row
	failing  time.Time // since when it fails; zero: it does not
	revision uint64    // of the target stream with the command's events: answers stand there or after
	err      string
}

// take gives the entry of an instance, to be left again.
func (o *Orchestrator) take(id es.StreamID) *entry {
	return o.instances.Take(id, func() *entry { return &entry{id: id} })
}

func (o *Orchestrator) leave(e *entry) { o.instances.Leave(e.id) }

// weigh says about what an instance takes in memory: twice what its events have, as it keeps what they say and remembers each input, and
// what is known of what it sends. The caller holds e.mu.
func (o *Orchestrator) weigh(e *entry) {
	o.instances.Weigh(e.id, 2*e.recorded+sendingOverhead*len(e.sending))
}

// sendingOverhead is about what it takes to know of one effect, in bytes.
const sendingOverhead = 200

func (e *entry) drop() { e.run, e.next, e.saved, e.recorded = nil, 0, 0, 0 }

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
