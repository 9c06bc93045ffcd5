package store

import "time"

// Expected is the revision a stream must be at: a number, or one of the names below.
type Expected int64

const (
	// ExpectNoStream: the stream has no events, or was deleted softly.
	ExpectNoStream Expected = -1
	// ExpectAny: no expectation; a repeat is recognised by the events' ids.
	ExpectAny Expected = -2
	// ExpectExists: the stream has events, or at least metadata, and was not deleted softly. A repeat is recognised as with ExpectAny.
	ExpectExists Expected = -4
)

// Kind is what a request does to its stream.
type Kind uint8

const (
	// Append adds events.
	Append Kind = iota
	// SoftDelete hides the stream's events until it is written again; revisions go on.
	SoftDelete
	// Tombstone ends the stream finally.
	Tombstone
	// scavenge removes events that are no longer shown.
	scavenge
)

// Request asks for one change of one stream, all or nothing.
type Request struct {
	Kind     Kind
	Stream   string
	Expected Expected
	Events   []Event   // of an Append; must not change until Done is called
	Deadline time.Time // not sequenced after it; zero: none
	Done     func(Result)

	removed  []removal // of a scavenge
	imported bool      // of a dump, which has the metadata events too that a request would cause
	created  int64     // of an imported event, 0: now
	begins   bool      // the stream, if it has no events: those below were scavenged where they come from
	size     int
	arrived  time.Time
}

// byID tells whether a repeat is recognised by the events' ids alone.
func (r *Request) byID() bool { return r.Expected < ExpectNoStream }

// Result is the outcome of a request.
type Result struct {
	Err      error  // nil: committed and synced, now or by an earlier request with the same ids
	Revision int64  // of the last event; where nothing was written the stream's present one
	Position uint64 // of the last event; 0 where nothing was written
}

// Submit queues a request. Done is called once, from the writer's goroutine, and must not block: until it
// returns no append goes on.
func (s *Store) Submit(src *Source, r *Request) {
	r.size = len(r.Stream) + 64
	for i := range r.Events {
		r.size += r.Events[i].Size() + recordFixed + len(r.Stream)
	}
	r.arrived = time.Now()
	if err := s.refuse(); err != nil {
		s.cfg.Metrics.refuse(1)
		r.Done(Result{Err: err})
		return
	}
	if !s.queue.put(src, r) {
		r.Done(Result{Err: ErrClosed})
	}
}

// refuse says why nothing is taken up now.
func (s *Store) refuse() error {
	if err := s.Err(); err != nil {
		return err
	}
	if s.disk.full() {
		return ErrFull
	}
	return nil
}

// Do submits a request and waits for its outcome, for as long as it takes.
func (s *Store) Do(r Request) Result {
	c := make(chan Result, 1)
	r.Done = func(res Result) { c <- res }
	s.Submit(&Source{}, &r)
	return <-c
}
