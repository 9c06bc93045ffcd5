// Package memory is an es.Store and es.Log for tests of pure logic. It keeps everything in memory, and fails on demand.
package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Store is safe for concurrent use. Set its fields before its first use.
type Store struct {
	Now       func() time.Time // the store's clock; default time.Now
	MaxAppend int              // bytes; default 1 MiB, as servers have it
	Step      uint64           // distance between positions; default 1. Real positions have gaps

	mu          sync.Mutex
	streams     map[string][]es.Record
	all         []es.Record
	grown       chan struct{} // closed when all grows
	faults      Faults
	incarnation string
	appends     int
}

// Faults are asked at each call, before and after it takes effect, and may block, count, cancel and fail. An error
// is what the caller gets. Nil functions do nothing. They are called without locks: they may use the store.
type Faults struct {
	BeforeAppend func(ctx context.Context, s es.StreamID, at es.Expected, events []es.Proposed) error
	AfterAppend  func(ctx context.Context, s es.StreamID, at es.Expected, events []es.Proposed) error // the events stand
	BeforeRead   func(ctx context.Context, s es.StreamID, from uint64) error
}

// New gives an empty store.
func New() *Store {
	return &Store{
		Now: time.Now, MaxAppend: 1 << 20, Step: 1,
		streams: map[string][]es.Record{}, grown: make(chan struct{}), incarnation: "memory",
	}
}

// Fail replaces the faults.
func (m *Store) Fail(f Faults) {
	m.mu.Lock()
	m.faults = f
	m.mu.Unlock()
}

// Replace makes it another store: empty, of another incarnation.
func (m *Store) Replace(incarnation string) {
	m.mu.Lock()
	m.streams, m.all, m.incarnation = map[string][]es.Record{}, nil, incarnation
	m.mu.Unlock()
}

// Appends counts the appends that wrote.
func (m *Store) Appends() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.appends
}

// All gives every record after a position, also those that are not relayed.
func (m *Store) All(after uint64) []es.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.after(after))
}

// Append implements es.Store.
func (m *Store) Append(ctx context.Context, s es.StreamID, at es.Expected, events []es.Proposed) (uint64, error) {
	m.mu.Lock()
	f := m.faults
	m.mu.Unlock()
	if f.BeforeAppend != nil {
		if err := f.BeforeAppend(ctx, s, at, events); err != nil {
			return 0, err
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	position, err := m.append(s, at, events)
	if err == nil && f.AfterAppend != nil {
		err = f.AfterAppend(ctx, s, at, events)
	}
	return position, err
}

func (m *Store) append(s es.StreamID, at es.Expected, events []es.Proposed) (uint64, error) {
	size := 0
	for _, e := range events {
		size += e.Size()
	}
	switch {
	case len(events) == 0:
		return 0, errors.New("append of no events")
	case size > m.MaxAppend:
		return 0, fmt.Errorf("append of %d bytes to %s: %w", size, s, es.ErrTooLarge)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := s.String()
	have := m.streams[name]
	if es.Expected(len(have))-1 != at {
		return again(have, s, at, events)
	}
	for _, e := range events {
		r := es.Record{
			ID: e.ID, Stream: s, Revision: uint64(len(have)), Position: m.end() + m.Step, Created: es.Micro(m.Now()),
			Type: e.Type, Data: bytes.Clone(e.Data), Meta: bytes.Clone(e.Meta),
		}
		have, m.all = append(have, r), append(m.all, r)
	}
	m.streams[name] = have
	m.appends++
	close(m.grown)
	m.grown = make(chan struct{})
	return m.end(), nil
}

// again answers an append that was recorded before.
func again(have []es.Record, s es.StreamID, at es.Expected, events []es.Proposed) (uint64, error) {
	next := int(at) + 1
	if next < 0 || next+len(events) > len(have) {
		return 0, fmt.Errorf("%s is at %d, not %d: %w", s, len(have)-1, at, es.ErrWrongRevision)
	}
	for i, e := range events {
		if have[next+i].ID != e.ID {
			return 0, fmt.Errorf("%s is at %d, not %d: %w", s, len(have)-1, at, es.ErrWrongRevision)
		}
	}
	return have[next+len(events)-1].Position, nil
}

func (m *Store) end() uint64 {
	if len(m.all) == 0 {
		return 0
	}
	return m.all[len(m.all)-1].Position
}

func (m *Store) after(position uint64) []es.Record {
	i, _ := slices.BinarySearchFunc(m.all, position+1, func(r es.Record, p uint64) int {
		if r.Position < p {
			return -1
		}
		return 1
	})
	return m.all[i:]
}

// Read implements es.Store.
func (m *Store) Read(ctx context.Context, s es.StreamID, from uint64) iter.Seq2[es.Record, error] {
	return func(yield func(es.Record, error) bool) {
		m.mu.Lock()
		f, have := m.faults, m.streams[s.String()]
		m.mu.Unlock()
		if f.BeforeRead != nil {
			if err := f.BeforeRead(ctx, s, from); err != nil {
				yield(es.Record{}, err)
				return
			}
			m.mu.Lock() // as it is now: the fault may have waited
			have = m.streams[s.String()]
			m.mu.Unlock()
		}
		for ; from < uint64(len(have)); from++ {
			if err := ctx.Err(); err != nil {
				yield(es.Record{}, err)
				return
			}
			if !yield(own(have[from]), nil) {
				return
			}
		}
	}
}

// own gives the reader a record to keep.
func own(r es.Record) es.Record {
	r.Data, r.Meta = bytes.Clone(r.Data), bytes.Clone(r.Meta)
	return r
}

// Direct appends past all faults, as another process would.
func (m *Store) Direct(s es.StreamID, at es.Expected, events []es.Proposed) (uint64, error) {
	return m.append(s, at, events)
}
