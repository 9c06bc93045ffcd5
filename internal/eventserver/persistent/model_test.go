package persistent

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

var strategies = []string{RoundRobin, DispatchToSingle, Pinned, PinnedByCorrelation}

func id(n uint64) (id store.ID) {
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func message(n, identity uint64) *Message {
	return &Message{Event: &store.Record{Revision: n, ID: id(identity), Stream: fmt.Appendf(nil, "s-%d", n%5),
		Meta: fmt.Appendf(nil, `{"$correlationId":"c-%d"}`, n%3)}}
}

// model is what a group owes: which events are open, where each of them is, and what each consumer holds.
type model struct {
	*rapid.T

	s       *state
	now     time.Time
	read    uint64          // events of the stream
	done    map[uint64]bool // of them
	parked  []uint64        // what parked messages are of, by their number in the parked stream
	sent    uint64          // of the parked ones, sent again
	undone  map[uint64]bool // of the parked ones sent again, those that are open
	holds   map[*Consumer][]*Message
	pinned  map[string]*Consumer // since consumers came or went
	deliver map[*Consumer][]*Message
}

func newModel(t *rapid.T) *model {
	strategy := rapid.SampledFrom(strategies).Draw(t, "strategy")
	set := Settings{MaxRetry: int32(rapid.IntRange(0, 2).Draw(t, "retries")), HistoryBuffer: 20, ReadBatch: 5, Strategy: strategy}
	if rapid.Bool().Draw(t, "timeouts") {
		set.MessageTimeout = time.Second
	}
	return &model{T: t, s: newState(Config{Stream: "s", Group: "g", Settings: set}), now: time.Unix(1, 0), done: map[uint64]bool{}, undone: map[uint64]bool{},
		holds: map[*Consumer][]*Message{}, pinned: map[string]*Consumer{}}
}

// take is what the consumers get after a step.
func (m *model) take() {
	m.deliver = map[*Consumer][]*Message{}
	m.s.pump(m.now)
	for _, c := range m.s.consumers {
		m.deliver[c] = c.unsent
		m.holds[c] = append(m.holds[c], c.unsent...)
		c.unsent = nil
	}
}

func (m *model) add(identity uint64) {
	m.s.add(message(m.read, identity), m.read)
	m.read++
}

func (m *model) consumer(what string) *Consumer {
	if len(m.s.consumers) == 0 {
		m.Skip("no consumer")
	}
	return m.s.consumers[rapid.IntRange(0, len(m.s.consumers)-1).Draw(m.T, what)]
}

func (m *model) changed() { m.pinned = map[string]*Consumer{} }

// answer has a consumer answer something that it holds, whether or not that is still its own.
func (m *model) answer(action int32) {
	c := m.consumer("who")
	if len(m.holds[c]) == 0 {
		m.Skip("holds nothing")
	}
	i := rapid.IntRange(0, len(m.holds[c])-1).Draw(m.T, "which")
	held := m.holds[c][i]
	m.holds[c] = slices.Delete(slices.Clone(m.holds[c]), i, i+1)
	f := m.s.flights[held.Event.ID]
	if f != nil && f.to == c && (action < 0 || action == ActSkip) {
		m.finish(f.m)
	}
	if action < 0 {
		m.s.ack(c, held.Event.ID)
	} else {
		m.s.nack(c, []store.ID{held.Event.ID}, action, "reason")
	}
	if action == ActStop {
		m.changed()
	}
}

func (m *model) finish(message *Message) {
	if message.ledger == &m.s.parked {
		delete(m.undone, message.at)
	} else {
		m.done[message.at] = true
	}
}

func (m *model) actions() map[string]func(*rapid.T) {
	bind := func(f func()) func(*rapid.T) {
		return func(t *rapid.T) {
			m.T = t
			f()
			m.take()
		}
	}
	return map[string]func(*rapid.T){
		"":     func(t *rapid.T) { m.T = t; m.check() },
		"read": bind(func() { m.add(m.read) }),
		"read much": bind(func() {
			for range rapid.IntRange(2, 12).Draw(m.T, "events") {
				m.add(m.read)
			}
		}),
		"read the same id again": bind(func() {
			if m.read == 0 {
				m.Skip("nothing read")
			}
			m.add(rapid.Uint64Range(0, m.read-1).Draw(m.T, "id"))
		}),
		"pass": bind(func() {
			m.s.stream.pass(m.read, rapid.Bool().Draw(m.T, "counts"))
			m.done[m.read] = true
			m.read++
		}),
		"join": bind(func() {
			if len(m.s.consumers) == 4 {
				m.Skip("enough consumers")
			}
			m.s.join(newConsumer(Client{Buffer: rapid.IntRange(1, 4).Draw(m.T, "buffer")}))
			m.changed()
		}),
		"leave":   bind(func() { m.s.leave(m.consumer("leaving")); m.changed() }),
		"time":    bind(func() { m.now = m.now.Add(400 * time.Millisecond); m.s.expire(m.now) }),
		"ack":     bind(func() { m.answer(-1) }),
		"unknown": bind(func() { m.answer(ActUnknown) }),
		"park":    bind(func() { m.answer(ActPark) }),
		"retry":   bind(func() { m.answer(ActRetry) }),
		"skip":    bind(func() { m.answer(ActSkip) }),
		"stop":    bind(func() { m.answer(ActStop) }),
		"parked":  bind(m.keep),
		"replay": bind(func() {
			for m.sent < uint64(len(m.parked)) {
				n := m.parked[m.sent]
				m.undone[m.sent] = true
				m.s.replay(message(n, n), m.sent)
				m.sent++
			}
		}),
	}
}

// keep parks, as a group does between its steps.
func (m *model) keep() {
	todo := m.s.parking
	m.s.parking = nil
	for _, p := range todo {
		m.parked = append(m.parked, p.m.Event.Revision)
		m.finish(p.m)
		m.s.finish(p.m)
	}
}

func (m *model) check() {
	m.checkFlights()
	m.checkProgress()
	m.checkOrder()
	m.checkLedgers()
}

func (m *model) checkFlights() {
	inFlight := map[*Consumer]int{}
	for _, f := range m.s.flights {
		inFlight[f.to]++
	}
	for _, c := range m.s.consumers {
		if inFlight[c] > c.client.Buffer || c.inFlight != inFlight[c] {
			m.Fatalf("%d in flight, %d counted, the consumer allows %d", inFlight[c], c.inFlight, c.client.Buffer)
		}
	}
}

// waiting are the messages that are neither done nor with a consumer nor to be parked.
func (m *model) waiting() map[*Message]bool {
	found := map[*Message]bool{}
	lanes := []lane{m.s.queue}
	for _, c := range m.s.consumers {
		lanes = append(lanes, c.lane)
	}
	for _, twins := range m.s.twins {
		lanes = append(lanes, twins)
	}
	for _, l := range lanes {
		for _, w := range l {
			found[w] = true
		}
	}
	if open := m.s.stream.open.Len() + m.s.parked.open.Len(); len(found) != m.s.held || len(found)+len(m.s.flights)+len(m.s.parking) != open {
		m.Fatalf("%d messages wait, %d are in flight, %d are to be parked; %d are open", len(found), len(m.s.flights), len(m.s.parking), open)
	}
	return found
}

// checkProgress: a message waits only for a consumer with room, or for the answer to another one with its id. With pinning it
// waits for the consumer to which it is pinned.
func (m *model) checkProgress() {
	free := 0
	for _, c := range m.s.consumers {
		if c.free() {
			free++
		}
	}
	for w := range m.waiting() {
		if m.s.flights[w.Event.ID] != nil || len(m.s.consumers) == 0 {
			continue
		}
		owner := m.pinned[string(pin(w, m.s.cfg.Settings.Strategy))]
		switch {
		case !m.s.pinned() && free > 0:
			m.Fatalf("event %d waits although a consumer has room", w.at)
		case m.s.pinned() && free == len(m.s.consumers):
			m.Fatalf("event %d waits although all consumers have room", w.at)
		case m.s.pinned() && owner != nil && owner.free():
			m.Fatalf("event %d waits although its consumer has room", w.at)
		}
	}
	if room := m.s.room(); free == 0 && room > max(0, int(m.s.cfg.Settings.HistoryBuffer)-m.s.held) {
		m.Fatalf("there is room to read %d, though no consumer has room and %d messages wait", room, m.s.held)
	}
	if free > 0 && m.s.pinned() {
		blocked := 0
		for _, c := range m.s.consumers {
			if !c.free() {
				blocked += len(c.lane)
			}
		}
		if room := m.s.room(); room < int(m.s.cfg.Settings.HistoryBuffer)-(m.s.held-blocked) {
			m.Fatalf("there is room to read %d, though only %d of %d messages wait for a consumer with room", room, m.s.held-blocked, m.s.held)
		}
	}
}

// checkOrder: what a consumer gets at once is in order, and nothing that waits should have come before it. With pinning, what has
// the same pin stays with one consumer.
func (m *model) checkOrder() {
	for c, batch := range m.deliver {
		if !slices.IsSortedFunc(batch, before) {
			m.Fatalf("a consumer got messages out of order")
		}
		for _, d := range batch {
			if m.s.pinned() {
				key := string(pin(d, m.s.cfg.Settings.Strategy))
				if owner := m.pinned[key]; owner != nil && owner != c {
					m.Fatalf("%s is with two consumers", key)
				}
				m.pinned[key] = c
			}
		}
	}
	if m.s.pinned() {
		return
	}
	for w := range m.waiting() {
		for _, batch := range m.deliver {
			for _, d := range batch {
				if m.s.flights[w.Event.ID] == nil && before(w, d) < 0 {
					m.Fatalf("event %d (%d) was sent before %d (%d)", d.at, d.class, w.at, w.class)
				}
			}
		}
	}
}

// checkLedgers: the checkpoint is right behind what is done, and so is where the parked stream may be cut.
func (m *model) checkLedgers() {
	reached := func(done func(uint64) bool) (n uint64) {
		for done(n) {
			n++
		}
		return n
	}
	want := reached(func(n uint64) bool { return n < m.read && m.done[n] })
	if at, _, ok := m.s.stream.reached(); ok != (want > 0) || ok && at+1 != want {
		m.Fatalf("the checkpoint is at %d (%v), all below %d are done", at, ok, want)
	}
	want = reached(func(n uint64) bool { return n < m.sent && !m.undone[n] })
	if at, _, ok := m.s.parked.reached(); ok != (want > 0) || ok && at+1 != want {
		m.Fatalf("the parked stream may be cut behind %d (%v), all below %d are done", at, ok, want)
	}
}

// TestGroupModel tries random orders of all that can happen to a group, under every strategy, with virtual time: each event is
// delivered until it is answered or parked; nothing waits for anything but room; what is sent again comes in order; the
// checkpoint is never ahead and never behind.
func TestGroupModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(m.actions())
		m.T = t
		m.s.join(newConsumer(Client{Buffer: 1}))
		for steps := 0; m.s.stream.open.Len()+m.s.parked.open.Len() > 0; steps++ {
			if steps > 100_000 {
				t.Fatalf("%d events are never done", m.s.stream.open.Len())
			}
			m.changed()
			m.take()
			m.check()
			for c, held := range m.holds {
				for _, h := range held {
					if f := m.s.flights[h.Event.ID]; f != nil && f.to == c {
						m.finish(f.m)
					}
					m.s.ack(c, h.Event.ID)
				}
				m.holds[c] = nil
			}
			m.keep()
		}
		m.take()
		m.check()
		for n := range m.read {
			if !m.done[n] {
				t.Fatalf("%d of %d is never done", n, m.read)
			}
		}
	})
}
