package memory

import (
	"context"
	"iter"
	"slices"

	"github.com/daybook-dev/daybook/kit/es"
)

// ReadAll implements es.Log.
func (m *Store) ReadAll(ctx context.Context, after uint64) iter.Seq2[es.Record, error] {
	return func(yield func(es.Record, error) bool) {
		for _, r := range m.All(after) {
			if err := ctx.Err(); err != nil {
				yield(es.Record{}, err)
				return
			}
			if r.Recorded() && !yield(own(r), nil) {
				return
			}
		}
	}
}

// Follow implements es.Log.
func (m *Store) Follow(ctx context.Context, after uint64) iter.Seq2[es.Record, error] {
	return func(yield func(es.Record, error) bool) {
		for {
			m.mu.Lock()
			grown := m.grown
			m.mu.Unlock()
			for _, r := range m.All(after) {
				if ctx.Err() != nil {
					break
				}
				if r.Recorded() && !yield(own(r), nil) {
					return
				}
				after = r.Position
			}
			if ctx.Err() == nil && !yield(es.Record{}, nil) {
				return
			}
			select {
			case <-grown:
			case <-ctx.Done():
				yield(es.Record{}, ctx.Err())
				return
			}
		}
	}
}

// End implements es.Log.
func (m *Store) End(context.Context) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range slices.Backward(m.all) {
		if v.Recorded() {
			return v.Position, nil
		}
	}
	return 0, nil
}

// Incarnation implements es.Log.
func (m *Store) Incarnation(context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.incarnation, nil
}
