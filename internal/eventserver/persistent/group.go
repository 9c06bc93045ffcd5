package persistent

import (
	"container/list"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

var (
	// ErrExists: a group of that name is there already.
	ErrExists = errors.New("persistent subscription group exists")
	// ErrNotFound: there is no such group.
	ErrNotFound = errors.New("persistent subscription group does not exist")
	// ErrTooManyConsumers: the group's settings allow no more.
	ErrTooManyConsumers = errors.New("maximum subscriptions reached")
	// ErrDropped: the group was deleted, changed or stopped, or its stream cannot be read.
	ErrDropped = errors.New("persistent subscription was dropped")
)

// RefusedError is a request that cannot be done as it was made.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

func refused(format string, args ...any) error {
	return &RefusedError{fmt.Sprintf(format, args...)}
}

// maxAhead bounds the bytes of messages that a group holds and has not sent.
const maxAhead = 64 << 20

// Message is one event on its way to a consumer.
type Message struct {
	Event   *store.Record // nil: the link's target is gone
	Link    *store.Record
	Retries int32

	class  int    // retried, replayed or fresh
	at     uint64 // revision or position, of a replayed one in the parked stream
	ledger *ledger
	entry  *list.Element
}

func (m *Message) original() *store.Record {
	if m.Link != nil {
		return m.Link
	}
	return m.Event
}

func (m *Message) size() int {
	const overhead = 256
	n := overhead
	for _, r := range []*store.Record{m.Event, m.Link} {
		if r != nil {
			n += len(r.Data) + len(r.Meta) + len(r.Stream) + len(r.Type)
		}
	}
	return n
}

// Consumer is one connected client.
type Consumer struct {
	// Ready says that there may be something to take.
	Ready chan struct{}
	// Dropped is closed when the group lets go of the consumer.
	Dropped chan struct{}

	client   Client
	unsent   []*Message // in flight, and not taken yet
	inFlight int
	lane     lane // what is pinned to it
	dropped  bool
	total    int64
}

// Client is who consumes: what the group says of it, and how many messages it lets be in flight.
type Client struct {
	From, Connection, User string
	Buffer                 int
}

func newConsumer(c Client) *Consumer {
	return &Consumer{Ready: make(chan struct{}, 1), Dropped: make(chan struct{}), client: c}
}

func (c *Consumer) free() bool { return c.inFlight < c.client.Buffer }

func (c *Consumer) signal() {
	select {
	case c.Ready <- struct{}{}:
	default:
	}
}

// Group is a running group.
type Group struct {
	mu    sync.Mutex
	s     *state
	next  uint64 // to be read
	saved time.Time
	last  string // checkpoint as saved, for people
	wake  chan struct{}
	stop  chan struct{}
	ended chan struct{}

	replayNext, replayEnd int64 // revisions of the parked stream: to be read next, and where to stop
	cut                   int64 // events of it that are gone from it, as the ledger counts them
	forget                bool  // no checkpoint is to be saved at the end
}

// Join connects a consumer.
func (g *Group) Join(client Client) (*Consumer, error) {
	if client.Buffer <= 0 {
		return nil, refused("the buffer size is %d, it must be above 0", client.Buffer)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.stop:
		return nil, ErrDropped
	default:
	}
	if n := g.s.cfg.Settings.MaxSubscribers; n > 0 && len(g.s.consumers) >= int(n) {
		return nil, ErrTooManyConsumers
	}
	c := newConsumer(client)
	g.s.join(c)
	g.s.pump(time.Now())
	g.poke()
	return c, nil
}

// Take gives what is to be sent to the consumer.
func (g *Group) Take(c *Consumer) []*Message {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := c.unsent
	c.unsent = nil
	return taken
}

// Leave disconnects a consumer.
func (g *Group) Leave(c *Consumer) { g.step(func(s *state) { s.leave(c) }) }

// Ack tells that the consumer is done with messages.
func (g *Group) Ack(c *Consumer, ids []store.ID) {
	g.step(func(s *state) {
		for _, id := range ids {
			s.ack(c, id)
		}
	})
}

// Nack actions.
const (
	ActUnknown = iota
	ActPark
	ActRetry
	ActSkip
	ActStop
)

// Nack tells that the consumer failed, and what to do.
func (g *Group) Nack(c *Consumer, ids []store.ID, action int32, reason string) error {
	if action < ActUnknown || action > ActStop {
		return refused("there is no nack action %d", action)
	}
	g.step(func(s *state) { s.nack(c, ids, action, reason) })
	return nil
}

func (s *state) nack(c *Consumer, ids []store.ID, action int32, reason string) {
	if action == ActStop {
		s.leave(c)
		return
	}
	for _, id := range ids {
		m := s.land(c, id)
		if m == nil {
			continue
		}
		switch action {
		case ActPark:
			s.park(m, "Client explicitly NAK'ed message.\n"+reason)
		case ActSkip:
			s.finish(m)
		default:
			s.retry(m)
		}
	}
}

func (g *Group) step(f func(*state)) {
	g.mu.Lock()
	f(g.s)
	g.s.pump(time.Now())
	g.mu.Unlock()
	g.poke()
}

func (g *Group) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *Group) dropAll() {
	for _, c := range append([]*Consumer(nil), g.s.consumers...) {
		g.s.leave(c)
	}
}

// close drops all consumers and waits for the group's goroutine, which saves the checkpoint.
func (g *Group) close() {
	g.mu.Lock()
	select {
	case <-g.stop:
	default:
		close(g.stop)
	}
	g.dropAll()
	g.mu.Unlock()
	<-g.ended
}
