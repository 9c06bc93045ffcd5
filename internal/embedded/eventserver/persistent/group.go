package persistent

import (
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/internal/embedded/eventserver/store"
)

var (
	// ErrExists: a group of that name is there already.
	ErrExists = errors.New("persistent subscription group exists")
	// ErrNotFound: there is no such group.
	ErrNotFound = errors.New("persistent subscription group does not exist")
	// ErrTooManyConsumers: the group's settings allow no more.
	ErrTooManyConsumers = errors.New("maximum subscriptions reached")
	// ErrDropped: the group was deleted, changed or stopped.
	ErrDropped = errors.New("persistent subscription was dropped")
)

// Message is one event on its way to a consumer.
type Message struct {
	Event   *store.Record // nil: the link's target is gone
	Link    *store.Record
	Retries int32

	place    *place // nil for a replayed message
	replayed bool
}

func (m *Message) original() *store.Record {
	if m.Link != nil {
		return m.Link
	}
	return m.Event
}

// place is a message's place in the order of delivery, for the checkpoint.
type place struct {
	at   uint64 // revision or position
	done bool
}

// Consumer is one connected client.
type Consumer struct {
	// C yields messages to send. Its capacity is what the client allows to be in flight, so that nobody waits to fill it.
	C chan *Message
	// Dropped is closed when the group lets go of the consumer.
	Dropped chan struct{}

	name    string
	slots   int
	dropped bool
	total   int64
}

// free tells whether a message can be sent. A message that timed out may still lie in C, although its slot is free.
func (c *Consumer) free() bool { return c.slots > 0 && len(c.C) < cap(c.C) }

type flight struct {
	m        *Message
	to       *Consumer
	deadline time.Time // zero: none
}

// state is a group without its reading and writing: every method is a step, called under the lock.
type state struct {
	cfg       Config
	consumers []*Consumer
	turn      int
	waiting   []*Message
	retries   []*Message
	flights   map[store.ID]*flight
	places    []*place // read and not yet below the checkpoint
	parking   []parking
	reached   uint64 // the checkpoint, once begun
	begun     bool
	unsaved   int32 // events that the checkpoint moved since it was last saved
	replaying int
	total     int64
}

type parking struct {
	m      *Message
	reason string
}

func newState(cfg Config) *state { return &state{cfg: cfg, flights: map[store.ID]*flight{}} }

// add takes a message that was read.
func (s *state) add(m *Message, at uint64) {
	m.place = &place{at: at}
	s.places = append(s.places, m.place)
	s.waiting = append(s.waiting, m)
}

// pass notes an event that nobody wants: the checkpoint may move over it.
func (s *state) pass(at uint64) {
	s.places = append(s.places, &place{at: at, done: true})
	s.advance()
}

// pump sends what can be sent.
func (s *state) pump(now time.Time) {
	for len(s.retries)+len(s.waiting) > 0 {
		from := &s.waiting
		if len(s.retries) > 0 {
			from = &s.retries
		}
		m := (*from)[0]
		id := m.original().ID
		if s.flights[id] != nil {
			return // an event of the same id is in flight: its answer could not be told apart
		}
		c := s.choose(m)
		if c == nil {
			return
		}
		*from = (*from)[1:]
		f := &flight{m: m, to: c}
		if s.cfg.Settings.MessageTimeout > 0 {
			f.deadline = now.Add(s.cfg.Settings.MessageTimeout)
		}
		s.flights[id] = f
		c.slots--
		c.total++
		s.total++
		c.C <- m
	}
}

// choose gives the consumer for a message, nil if it has to wait.
func (s *state) choose(m *Message) *Consumer {
	n := len(s.consumers)
	if n == 0 {
		return nil
	}
	switch s.cfg.Settings.Strategy {
	case DispatchToSingle:
		for _, c := range s.consumers {
			if c.free() {
				return c
			}
		}
		return nil
	case Pinned, PinnedByCorrelation:
		h := fnv.New32a()
		_, _ = h.Write(pin(m, s.cfg.Settings.Strategy))
		if c := s.consumers[h.Sum32()%uint32(n)]; c.free() {
			return c
		}
		return nil
	}
	for range n {
		c := s.consumers[s.turn%n]
		s.turn++
		if c.free() {
			return c
		}
	}
	return nil
}

// ack ends a message. An answer to what is not in flight (any more) is ignored.
func (s *state) ack(c *Consumer, id store.ID) {
	if f := s.land(c, id); f != nil {
		s.finish(f.m)
	}
}

func (s *state) land(c *Consumer, id store.ID) *flight {
	f := s.flights[id]
	if f == nil || f.to != c {
		return nil
	}
	delete(s.flights, id)
	c.slots++
	return f
}

func (s *state) finish(m *Message) {
	if m.replayed {
		s.replaying--
		return
	}
	m.place.done = true
	s.advance()
}

// advance moves the checkpoint over everything done.
func (s *state) advance() {
	for len(s.places) > 0 && s.places[0].done {
		s.reached, s.begun = s.places[0].at, true
		s.unsaved++
		s.places = s.places[1:]
	}
}

// retry sends a message again, or parks it when that was tried often enough.
func (s *state) retry(m *Message) {
	if m.Retries >= s.cfg.Settings.MaxRetry {
		s.park(m, "Reached the maximum number of retries")
		return
	}
	again := *m // the sender may still hold the first one
	again.Retries++
	s.retries = append(s.retries, &again)
}

func (s *state) park(m *Message, reason string) {
	s.parking = append(s.parking, parking{m, reason})
}

// expire retries what no consumer answered in time.
func (s *state) expire(now time.Time) {
	for id, f := range s.flights {
		if !f.deadline.IsZero() && now.After(f.deadline) {
			s.land(f.to, id)
			s.retry(f.m)
		}
	}
}

// leave takes a consumer out; what it had goes to others.
func (s *state) leave(c *Consumer) {
	for i, other := range s.consumers {
		if other == c {
			s.consumers = append(s.consumers[:i:i], s.consumers[i+1:]...)
		}
	}
	var lost []*Message
	for id, f := range s.flights {
		if f.to == c {
			delete(s.flights, id)
			lost = append(lost, f.m)
		}
	}
	s.retries = append(lost, s.retries...)
	if !c.dropped {
		c.dropped = true
		close(c.Dropped)
	}
}

// due tells whether the checkpoint should be saved.
func (s *state) due(sinceSaved time.Duration) bool {
	set := s.cfg.Settings
	switch {
	case s.unsaved == 0:
		return false
	case s.unsaved >= max(set.MaxCheckpoint, 1):
		return true
	}
	return s.unsaved >= set.MinCheckpoint && sinceSaved >= set.CheckpointAfter
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
}

// Join connects a consumer that lets so many messages be in flight.
func (g *Group) Join(name string, buffer int32) (*Consumer, error) {
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
	if buffer <= 0 || buffer > maxBuffer {
		buffer = 10
	}
	c := &Consumer{C: make(chan *Message, buffer), Dropped: make(chan struct{}), name: name, slots: int(buffer)}
	g.s.consumers = append(g.s.consumers, c)
	g.poke()
	return c, nil
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
func (g *Group) Nack(c *Consumer, ids []store.ID, action int32, reason string) {
	g.step(func(s *state) {
		for _, id := range ids {
			f := s.land(c, id)
			if f == nil {
				continue
			}
			switch action {
			case ActPark:
				s.park(f.m, reason)
			case ActSkip:
				s.finish(f.m)
			case ActStop:
				s.retries = append(s.retries, f.m)
				s.leave(c)
			default:
				s.retry(f.m)
			}
		}
	})
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

// close drops all consumers and waits for the group's goroutine.
func (g *Group) close() {
	g.mu.Lock()
	select {
	case <-g.stop:
	default:
		close(g.stop)
	}
	for _, c := range append([]*Consumer(nil), g.s.consumers...) {
		g.s.leave(c)
	}
	g.mu.Unlock()
	<-g.ended
}
