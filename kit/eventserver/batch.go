package eventserver

import (
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/eventserver/wire"
)

// What one BatchAppend call may have under way: received and not yet answered. At the bound nothing more is received
// from that client; the others do not notice.
const (
	batchAppends  = 4096
	batchBytes    = 32 << 20
	batchUnfinal  = 256 // appends begun and not yet complete, and of those
	batchOpen     = 64 << 20
	batchReleases = 1024 // answers sent between two looks at the bound
)

// batch is one BatchAppend call. Its receive loop never waits for commits, the store's writer never for the network:
// between them is a queue with its own sender.
type batch struct {
	s      *Server
	st     grpc.ServerStream
	source store.Source
	open   map[store.ID]*batchEntry
	held   int // bytes of open

	mu       sync.Mutex
	answers  []*batchEntry
	under    int           // received whole, not yet answered
	bytes    int           // of those
	wake     chan struct{} // the sender has something to do
	room     chan struct{} // there may be room to receive again
	received bool          // the client sends no more
	failed   error         // sending failed
}

// batchEntry is one append of the call.
type batchEntry struct {
	pending

	id       store.ID
	text     bool
	deadline time.Time
	size     int
	res      store.Result
	request  store.Request
	one      [1]store.Event // most appends have no more
}

func (s *Server) batchAppend(st grpc.ServerStream) error {
	b := &batch{s: s, st: st, open: map[store.ID]*batchEntry{}, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		b.send()
	}()
	err := b.receive()
	b.mu.Lock()
	b.received = true
	if err != nil && b.failed == nil {
		b.failed = err // the client no longer reads
	}
	b.mu.Unlock()
	signal(b.wake)
	<-sent
	if errors.Is(b.failed, io.EOF) {
		return nil
	}
	return end(st, b.failed)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (b *batch) receive() error {
	var m wire.BatchAppendReq
	for {
		if err := b.st.RecvMsg(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if !m.HasCorrelation {
			return invalid("a batch append has no correlation id")
		}
		e, begun, err := b.entry(&m)
		if err != nil {
			return err
		}
		if m.Options {
			e.options(m.Stream, m.Expected)
			switch {
			case m.HasTimeout:
				e.deadline = time.Now().Add(m.Timeout)
			default:
				e.deadline = m.Deadline
			}
		}
		b.held -= e.pending.size
		for i := range m.Events {
			e.add(&m.Events[i])
		}
		if !m.Final {
			if b.held += e.pending.size; b.held > batchOpen {
				return invalid("more than %d bytes of appends begun and not completed", batchOpen)
			}
			continue
		}
		if begun {
			delete(b.open, m.Correlation)
		}
		if err := b.submit(e); err != nil {
			return err
		}
	}
}

// entry is the append that a message belongs to: one that is begun, or a new one.
func (b *batch) entry(m *wire.BatchAppendReq) (e *batchEntry, begun bool, err error) {
	if len(b.open) > 0 {
		if e = b.open[m.Correlation]; e != nil {
			return e, true, nil
		}
		if len(b.open) >= batchUnfinal {
			return nil, false, invalid("more than %d appends begun and not completed", batchUnfinal)
		}
	}
	e = &batchEntry{pending: pending{limit: b.s.cfg.MaxAppendBytes}, id: m.Correlation, text: m.TextUUID}
	e.events = e.one[:0]
	if !m.Final {
		b.open[m.Correlation] = e
	}
	return e, false, nil
}

// submit hands an append to the writer once there is room for it.
func (b *batch) submit(e *batchEntry) error {
	e.size = e.pending.size + len(e.stream) + 256
	for {
		b.mu.Lock()
		if b.failed != nil {
			defer b.mu.Unlock()
			return b.failed
		}
		if b.under == 0 || b.under < batchAppends && b.bytes+e.size <= batchBytes {
			break
		}
		b.mu.Unlock()
		select {
		case <-b.room:
		case <-b.st.Context().Done():
			return b.st.Context().Err()
		}
	}
	b.under++
	b.bytes += e.size
	b.mu.Unlock()
	if err := e.check(); err != nil {
		b.answer(e, store.Result{Err: err})
		return nil
	}
	if err := b.s.mayAppend(b.st.Context(), &e.pending); err != nil {
		b.answer(e, store.Result{Err: err})
		return nil
	}
	e.request = store.Request{
		Stream: e.stream, Expected: e.expected, Events: e.events, Deadline: e.deadline,
		Done: func(res store.Result) { b.s.changed(e.stream, res.Err); b.answer(e, res) },
	}
	b.s.store.Submit(&b.source, &e.request)
	return nil
}

// answer never blocks: what may be under way is bounded.
func (b *batch) answer(e *batchEntry, res store.Result) {
	e.res, e.events, e.one, e.request.Events = res, nil, [1]store.Event{}, nil
	b.mu.Lock()
	b.answers = append(b.answers, e)
	b.mu.Unlock()
	signal(b.wake)
}

// send sends answers until the client is done and everything is answered, or sending fails.
func (b *batch) send() {
	var out []*batchEntry
	for {
		<-b.wake
		b.mu.Lock()
		out, b.answers = b.answers, out[:0]
		finished := b.failed != nil || b.received && b.under == 0
		b.mu.Unlock()
		if finished {
			return
		}
		freed, released := 0, 0
		for i, e := range out {
			if err := b.st.SendMsg(e.response()); err != nil {
				b.fail(err)
				return
			}
			freed += e.size
			out[i] = nil
			if released++; released == batchReleases || i == len(out)-1 {
				b.release(released, freed)
				freed, released = 0, 0
			}
		}
	}
}

func (b *batch) release(n, bytes int) {
	b.mu.Lock()
	b.under -= n
	b.bytes -= bytes
	if b.received && b.under == 0 {
		signal(b.wake)
	}
	b.mu.Unlock()
	signal(b.room)
}

func (b *batch) fail(err error) {
	b.mu.Lock()
	if b.failed == nil {
		b.failed = err
	}
	b.mu.Unlock()
	signal(b.room)
}
