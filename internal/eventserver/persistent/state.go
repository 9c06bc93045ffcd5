package persistent

import (
	"container/heap"
	"container/list"
	"fmt"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// state is a group without its reading and writing: every method is a step, called under the lock.
type state struct {
	cfg       Config
	consumers []*Consumer
	turn      int
	queue     lane              // what any consumer may have
	twins     map[store.ID]lane // held back while an event of the same id is in flight: its answer could not be attributed
	pins      pins
	flights   map[store.ID]*flight
	timeouts  list.List // of *flight, by deadline
	parking   []parking
	stream    ledger
	parked    ledger // of the parked stream, what is replayed
	saved     int64  // the sequence at the last checkpoint
	held      int    // messages in lanes and twins
	bytes     int    // their size
	total     int64
}

type flight struct {
	m        *Message
	to       *Consumer
	deadline time.Time
	timeout  *list.Element // nil: none
	pinned   *bucket
}

type parking struct {
	m      *Message
	reason string
}

func newState(cfg Config) *state {
	return &state{cfg: cfg, flights: map[store.ID]*flight{}, twins: map[store.ID]lane{}, pins: pins{}}
}

func (s *state) pinned() bool {
	return s.cfg.Settings.Strategy == Pinned || s.cfg.Settings.Strategy == PinnedByCorrelation
}

// add takes a message that was read from the stream.
func (s *state) add(m *Message, at uint64) {
	m.class, m.at, m.ledger = fresh, at, &s.stream
	m.entry = s.stream.add(at)
	s.enqueue(m)
}

// replay takes a message that was read from the parked stream.
func (s *state) replay(m *Message, at uint64) {
	m.class, m.at, m.ledger = replayed, at, &s.parked
	m.entry = s.parked.add(at)
	s.enqueue(m)
}

func (s *state) enqueue(m *Message) {
	s.held++
	s.bytes += m.size()
	heap.Push(s.laneOf(m), m)
}

func (s *state) laneOf(m *Message) *lane {
	if !s.pinned() || len(s.consumers) == 0 {
		return &s.queue
	}
	return &s.pins.of(m, s.cfg.Settings.Strategy, s.consumers).owner.lane
}

// relane distributes what waits anew, after a consumer came or went.
func (s *state) relane() {
	if !s.pinned() {
		return
	}
	all := s.queue
	s.queue = nil
	for _, c := range s.consumers {
		all = append(all, c.lane...)
		c.lane = nil
	}
	for _, m := range all {
		heap.Push(s.laneOf(m), m)
	}
}

// pump sends what can be sent: no message and no consumer that has to wait holds up another.
func (s *state) pump(now time.Time) {
	for _, c := range s.consumers {
		for c.free() && len(c.lane) > 0 {
			s.send(&c.lane, c, now)
		}
	}
	for len(s.queue) > 0 {
		if s.twin(s.queue[0]) {
			s.send(&s.queue, nil, now)
			continue
		}
		c := s.choose()
		if c == nil {
			return // none has room for any message
		}
		s.send(&s.queue, c, now)
	}
}

func (s *state) twin(m *Message) bool { return s.flights[m.original().ID] != nil }

// send sends a lane's next message, or holds it back behind its twin.
func (s *state) send(from *lane, c *Consumer, now time.Time) {
	m, _ := heap.Pop(from).(*Message)
	id := m.original().ID
	if s.twin(m) {
		twins := s.twins[id]
		heap.Push(&twins, m)
		s.twins[id] = twins
		return
	}
	s.held--
	s.bytes -= m.size()
	f := &flight{m: m, to: c}
	if after := s.cfg.Settings.MessageTimeout; after > 0 {
		f.deadline = now.Add(after)
		f.timeout = s.timeouts.PushBack(f)
	}
	if s.pinned() {
		f.pinned = s.pins.of(m, s.cfg.Settings.Strategy, s.consumers)
		f.pinned.inFlight++
	}
	s.flights[id] = f
	c.inFlight++
	c.total++
	s.total++
	c.unsent = append(c.unsent, m)
	c.signal()
}

// choose gives the consumer of the next message, where any may have it; nil if none has room.
func (s *state) choose() *Consumer {
	n := len(s.consumers)
	for range n {
		c := s.consumers[s.turn%n]
		if s.cfg.Settings.Strategy != DispatchToSingle || !c.free() {
			s.turn = (s.turn + 1) % n
		}
		if c.free() {
			return c
		}
	}
	return nil
}

// room is how many messages may be read. What waits for a full consumer to which it is pinned does not count while another one has
// room, up to maxAhead.
func (s *state) room() int {
	if len(s.consumers) == 0 || s.bytes >= maxAhead {
		return 0
	}
	ready, free := len(s.queue), false
	for _, c := range s.consumers {
		if c.free() {
			free = true
			ready += len(c.lane)
		}
	}
	if !free {
		ready = s.held
	}
	return int(s.cfg.Settings.HistoryBuffer) - ready
}

// land ends a message's flight. Nil: it is not in flight with this consumer (any more).
func (s *state) land(c *Consumer, id store.ID) *Message {
	f := s.flights[id]
	if f == nil || f.to != c {
		return nil
	}
	delete(s.flights, id)
	if f.timeout != nil {
		s.timeouts.Remove(f.timeout)
	}
	c.inFlight--
	if f.pinned != nil && f.pinned.owner == c {
		f.pinned.inFlight = max(0, f.pinned.inFlight-1)
	}
	if i := slices.Index(c.unsent, f.m); i >= 0 {
		c.unsent = slices.Delete(c.unsent, i, i+1)
	}
	s.release(id)
	return f.m
}

// release lets messages go on that were held back behind an event of the same id: where any consumer may have them the first one,
// otherwise all, for they may be pinned to different consumers.
func (s *state) release(id store.ID) {
	twins := s.twins[id]
	delete(s.twins, id)
	for len(twins) > 0 {
		next, _ := heap.Pop(&twins).(*Message)
		heap.Push(s.laneOf(next), next)
		if !s.pinned() && len(twins) > 0 {
			s.twins[id] = twins
			return
		}
	}
}

// ack ends a message. An answer to what is not in flight (any more) is ignored.
func (s *state) ack(c *Consumer, id store.ID) {
	if m := s.land(c, id); m != nil {
		s.finish(m)
	}
}

func (s *state) finish(m *Message) { m.ledger.finish(m.entry) }

// retry sends a message again, or parks it when that was tried often enough.
func (s *state) retry(m *Message) {
	if m.Retries >= s.cfg.Settings.MaxRetry {
		s.park(m, fmt.Sprintf("Reached retry count of %d", s.cfg.Settings.MaxRetry))
		return
	}
	s.again(m)
}

func (s *state) again(m *Message) {
	again := *m // the sender may still hold the first one
	again.Retries++
	if again.class == fresh {
		again.class = retried
	}
	s.enqueue(&again)
}

func (s *state) park(m *Message, reason string) {
	s.parking = append(s.parking, parking{m, reason})
}

// expire retries what no consumer answered in time.
func (s *state) expire(now time.Time) {
	var late []*Message
	for e := s.timeouts.Front(); e != nil; e = s.timeouts.Front() {
		f, _ := e.Value.(*flight)
		if !now.After(f.deadline) {
			break
		}
		late = append(late, s.land(f.to, f.m.original().ID))
	}
	slices.SortFunc(late, before)
	for _, m := range late {
		s.retry(m)
	}
}

// join brings a consumer in.
func (s *state) join(c *Consumer) {
	s.consumers = append(s.consumers, c)
	if s.pinned() {
		s.pins.join(c, len(s.consumers))
		s.relane()
	}
}

// leave takes a consumer out; what it had goes to others.
func (s *state) leave(c *Consumer) {
	if i := slices.Index(s.consumers, c); i >= 0 {
		s.consumers = slices.Delete(slices.Clone(s.consumers), i, i+1)
		if i < s.turn {
			s.turn--
		}
		s.queue = append(s.queue, c.lane...)
		heap.Init(&s.queue)
		c.lane = nil
		s.pins.leave(c)
		s.relane()
		for id, f := range s.flights {
			if f.to == c {
				s.again(s.land(c, id))
			}
		}
	}
	if !c.dropped {
		c.dropped = true
		close(c.Dropped)
	}
}

// due tells whether the checkpoint should be saved.
func (s *state) due(sinceSaved time.Duration) bool {
	set := s.cfg.Settings
	_, sequence, _ := s.stream.reached()
	unsaved := sequence - s.saved
	switch {
	case unsaved == 0:
		return false
	case unsaved >= int64(max(set.MaxCheckpoint, 1)):
		return true
	}
	return unsaved >= int64(set.MinCheckpoint) && sinceSaved >= set.CheckpointAfter
}

// retries counts the messages that wait to be sent again.
func (s *state) retries() int {
	n := 0
	lanes := []lane{s.queue}
	for _, c := range s.consumers {
		lanes = append(lanes, c.lane)
	}
	for _, l := range lanes {
		for _, m := range l {
			if m.class != fresh {
				n++
			}
		}
	}
	return n
}
