package store

import (
	"context"
	"errors"
	"fmt"
)

// intake is one batch of an import: what it adds is found out before anything is submitted, so that the log gets the dump's
// lines in their order up to the first that cannot be taken in.
type intake struct {
	s    *Store
	o    ImportOptions
	next map[string]uint64 // streams as the batch leaves them: the next revision
	dead map[string]bool
	add  []numbered
	seen uint64 // events that the store has already
}

func (s *Store) importBatch(ctx context.Context, batch []numbered, in *lines, total *Imported) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("import behind line %d: %w", batch[0].number-1, err)
	}
	k := newIntake(s, in.o)
	for _, l := range batch {
		err := k.look(ctx, l)
		if err != nil && len(k.add) > 0 { // it may be a repeat of a line of this batch
			if err := k.submit(total); err != nil {
				return err
			}
			k = newIntake(s, in.o)
			err = k.look(ctx, l)
		}
		if err != nil {
			total.Present += k.seen
			return &LineError{l.number, err}
		}
	}
	return k.submit(total)
}

func newIntake(s *Store, o ImportOptions) *intake {
	return &intake{s: s, o: o, next: map[string]uint64{}, dead: map[string]bool{}}
}

// look finds out whether an event is to be added, and whether it can be.
func (k *intake) look(ctx context.Context, l numbered) error {
	known, err := k.has(ctx, l.Line)
	if err != nil {
		return err
	}
	if known {
		k.seen++
		return nil
	}
	next, ok := k.next[l.Stream]
	if !ok {
		v, err := k.s.View(ctx, l.Stream)
		if err != nil {
			return err
		}
		if l.Revision < uint64(v.kept) {
			k.seen++ // it was scavenged since
			return nil
		}
		next, k.dead[l.Stream] = uint64(v.Last+1), v.Dead
	}
	switch {
	case k.dead[l.Stream]:
		return fmt.Errorf("stream %q is ended by a tombstone", l.Stream)
	case l.Revision == TombstoneRevision:
		k.dead[l.Stream] = true
	case l.Revision == next, next == 0 && k.o.Partial:
		next = l.Revision + 1
	case next == 0:
		return fmt.Errorf("stream %q begins at revision %d, not at 0: to take in a part of it, ask for a partial import", l.Stream, l.Revision)
	default:
		return fmt.Errorf("stream %q goes on at revision %d, the line's is %d", l.Stream, next, l.Revision)
	}
	k.next[l.Stream] = next
	k.add = append(k.add, l)
	return nil
}

// has tells whether the store has the event already. Another one in its place is an error.
func (k *intake) has(ctx context.Context, l *Line) (bool, error) {
	position, err := k.s.positionOf(l.Stream, l.Revision)
	if errors.Is(err, errAbsent) {
		return false, nil
	}
	if err == nil {
		err = k.s.waitVisible(ctx, position)
	}
	if err != nil {
		return false, err
	}
	same := false
	err = k.s.get(position, func(r *Record) { same = l.same(r) })
	if errors.Is(err, errScavenged) {
		return true, nil
	}
	if err == nil && !same {
		err = fmt.Errorf("another event is at revision %d of stream %q, at position %d", l.Revision, l.Stream, position)
	}
	return err == nil, err
}

// submit appends what is to be added, and waits for all of it.
func (k *intake) submit(total *Imported) error {
	results := make([]Result, len(k.add))
	answered := make(chan struct{}, len(k.add))
	src := &Source{}
	for i, l := range k.add {
		r := &Request{Stream: l.Stream, Expected: Expected(min(l.Revision, TombstoneRevision)) - 1, Events: []Event{l.event()}, //nolint:gosec // bounded
			imported: true, created: l.Created, begins: k.o.Partial && l.Revision > 0,
			Done: func(res Result) { results[i] = res; answered <- struct{}{} }}
		if l.Revision == TombstoneRevision {
			r.Kind, r.Expected, r.begins = Tombstone, ExpectAny, false
		}
		k.s.Submit(src, r)
	}
	for range k.add {
		<-answered
	}
	total.Present += k.seen
	var first error
	for i, res := range results {
		err := res.Err
		if err == nil {
			total.Added++
			err = k.s.get(res.Position, func(r *Record) {
				if r.Created != k.add[i].Created {
					total.Redated++
				}
			})
		}
		if err != nil && !errors.Is(err, errScavenged) && first == nil {
			first = &LineError{k.add[i].number, fmt.Errorf("stream %q, revision %d: %w", k.add[i].Stream, k.add[i].Revision, err)}
		}
	}
	return first
}
