package es

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// decidedBatch is what a batch of commands came to, decided one after another on the state before it.
type decidedBatch[S any] struct {
	batch    []*pending[S]
	at       Expected
	proposed []Proposed
	records  []folding
	applied  int  // of records, already folded into the lane's state
	broken   bool // an event in it cannot be folded: decide again without its command
}

// folding is an event as it will stand, and as it is folded.
type folding struct {
	recorded Recorded
	record   Record
	owner    int // index in the batch of the command that decided it
}

// decide runs commands on the state as if each one before had been appended. Answers wait for the append.
// The last command's events are not folded yet, so a batch of one survives a conflict without reading again.
func (l *lane[S, P]) decide(batch []*pending[S]) decidedBatch[S] {
	now := Micro(l.h.now())
	d := decidedBatch[S]{at: l.folded.expected()}
	for _, p := range batch {
		if p.sent != nil && d.at > p.sent.at {
			p.sent.settled = true
		}
	}
	size := 0
	for i := 0; i < len(batch) && (size < maxBatchBytes || i == 0); i++ {
		p := batch[i]
		for ; d.applied < len(d.records); d.applied++ {
			if err := l.applyOf(d, d.applied); err != nil {
				batch[d.records[d.applied].owner].broken = err
				return decidedBatch[S]{broken: true}
			}
		}
		d.batch = batch[:i+1]
		p.receipt, p.err = Receipt{}, nil
		p.show(nil)
		proposed, records, err := l.one(p, now)
		if err != nil {
			p.err = err
			continue
		}
		bytes := 0
		for j, e := range proposed {
			bytes += e.Size()
			records[j].owner = i
		}
		if size += bytes; size > maxBatchBytes && i > 0 {
			d.batch = batch[:i]
			break
		}
		d.proposed, d.records = append(d.proposed, proposed...), append(d.records, records...)
	}
	return d
}

// one decides one command, or answers it from the commands already decided.
func (l *lane[S, P]) one(p *pending[S], now time.Time) ([]Proposed, []folding, error) {
	if r, seen, err := l.folded.seen(l.stream, p.call); seen {
		p.receipt = r
		if p.sent != nil && slices.Equal(r.Events, p.sent.receipt.Events) {
			p.receipt = p.sent.receipt.at(r.Position) // found after an unknown outcome: this is the first answer
		}
		return nil, nil, err
	}
	if err := notBegun(p); err != nil { // and its caller no longer waits
		return nil, nil, err
	}
	switch {
	case p.broken != nil:
		return nil, nil, p.broken
	case p.decision == nil:
		return nil, nil, nil
	}
	if want := p.call.IfMatch; !want.holds(l.folded.next) {
		return nil, nil, fmt.Errorf("%s is at %d, not as in %+v: %w", l.stream, l.folded.expected(), *want, ErrPrecondition)
	}
	facts, err := decide(p.decision, l.folded.state)
	if err != nil {
		return nil, nil, err
	}
	p.receipt = Receipt{Stream: l.stream, Revision: l.folded.revision(), Position: l.folded.position}
	if len(facts) > 0 {
		p.receipt.Position = 0 // known once they are appended
	} else {
		p.show(&l.folded.state)
	}
	var proposed []Proposed
	var records []folding
	last := l.folded.lastAt
	for i, fact := range facts {
		prop, f, err := l.propose(p, fact, i, now, last)
		if err != nil {
			return nil, nil, err
		}
		f.record.Revision = l.folded.next + uint64(i)
		f.recorded.Revision = f.record.Revision
		last = f.recorded.Meta.OccurredAt
		proposed, records = append(proposed, prop), append(records, f)
		p.receipt.Revision = f.record.Revision
		p.receipt.Events = append(p.receipt.Events, f.record.ID)
		p.receipt.Records = append(p.receipt.Records, f.record)
	}
	return proposed, records, nil
}

func decide[S any](d Decision[S], s S) (events []Event, err error) {
	defer func() {
		if p := recover(); p != nil {
			events, err = nil, fmt.Errorf("%s panicked: %v", d.CommandType(), p)
		}
	}()
	return d.Decide(s)
}

// MaxEventBytes is how large an event may be, type, data and metadata together. An event that may be larger has a method
// MaxBytes() int.
const MaxEventBytes = 256 << 10

func mostBytes(e Event) int {
	if larger, ok := e.(interface{ MaxBytes() int }); ok {
		return max(larger.MaxBytes(), MaxEventBytes)
	}
	return MaxEventBytes
}

func (l *lane[S, P]) propose(p *pending[S], e Event, i int, now, last time.Time) (Proposed, folding, error) {
	if c, _, _ := strings.Cut(e.EventType(), "."); c != l.stream.Category {
		return Proposed{}, folding{}, fmt.Errorf("%s does not belong in %s", e.EventType(), l.stream)
	}
	if strings.HasPrefix(e.EventType(), sagaPrefix) {
		return Proposed{}, folding{}, fmt.Errorf("%s is the saga engine's: no command records it", e.EventType())
	}
	typ, schema, data, err := l.h.catalog.Encode(e)
	if err != nil {
		return Proposed{}, folding{}, fmt.Errorf("encode %s for %s: %w", e.EventType(), l.stream, err)
	}
	meta := l.meta(p, schema, now, last)
	encoded, err := json.Marshal(meta)
	if err != nil {
		return Proposed{}, folding{}, fmt.Errorf("encode metadata of %s for %s: %w", typ, l.stream, err)
	}
	prop := Proposed{Type: typ, Data: data, Meta: encoded}
	switch {
	case prop.Size() > mostBytes(e):
		return Proposed{}, folding{}, fmt.Errorf("%s for %s, %d bytes: %w", typ, l.stream, prop.Size(), ErrEventTooLarge)
	case hasNUL(data) || hasNUL(encoded):
		return Proposed{}, folding{}, fmt.Errorf("%s for %s: %w", typ, l.stream, ErrNUL)
	}
	prop.ID = eventID(p.call, l.stream, i, data, encoded)
	return prop, folding{
		recorded: Recorded{Event: e, Meta: meta, ID: prop.ID, Stream: l.stream, Created: now},
		record:   Record{ID: prop.ID, Stream: l.stream, Created: now, Type: typ, Data: data, Meta: encoded},
	}, nil
}

// eventID is a function of all that the event says. The store compares ids only: two processes that decide one command
// at the same moment, at other prices or with another number, must not take each other's event for theirs.
func eventID(c Call, s StreamID, i int, data, meta []byte) UUID {
	return v5("event", c.ID, c.Digest, s.String(), i, data, meta)
}

// IsOf tells whether the record is what its id says: event index of the command that its metadata name.
func (r Record) IsOf(c CommandRef, index int) bool {
	return r.ID == eventID(Call{ID: c.ID, Digest: c.Digest}, r.Stream, index, r.Data, r.Meta)
}

func (l *lane[S, P]) meta(p *pending[S], schema int, now, last time.Time) Meta {
	c := p.call
	m := Meta{
		Schema: schema, Correlation: c.Correlation, Causation: c.Causation,
		Command: CommandRef{c.ID, p.decision.CommandType(), c.Digest},
		Effect:  c.Effect, Actor: c.Actor, Reason: c.Reason,
		OccurredAt: now, Traceparent: c.Traceparent,
	}
	if m.Correlation == "" {
		m.Correlation = l.stream.String()
	}
	stated := Micro(c.OccurredAt)
	if !c.OccurredAt.IsZero() {
		m.OccurredAt = stated
	}
	if m.OccurredAt.Before(last) {
		m.OccurredAt = last
	}
	if !c.OccurredAt.IsZero() && !m.OccurredAt.Equal(stated) {
		m.StatedAt = stated
	}
	return m
}

// hasNUL finds \u0000 in JSON: an escape whose backslash is not itself escaped.
func hasNUL(b []byte) bool {
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(`\u0000`))
		if i < 0 {
			return false
		}
		i += at
		slashes := 0
		for i-slashes >= 0 && b[i-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 1 {
			return true
		}
		at = i + 1
	}
}
