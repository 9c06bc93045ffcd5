package store

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// Scavenged is what a scavenge took away.
type Scavenged struct {
	Streams uint64 `json:"streams"` // that lost events
	Events  uint64 `json:"events"`
	Bytes   uint64 `json:"bytes"` // of data and metadata
}

// removal is one event to be removed.
type removal struct {
	revision, position uint64
	created            int64
	id                 ID
	bytes              uint64 // of data and metadata
}

const scavengeStep = 512 // removals asked of the writer at once

// Scavenge removes for good the events that their streams' metadata, deletion or tombstone hide, and gives their space
// back to the disk, while everything goes on. Positions and revisions stay as they are: $all simply no longer shows the
// events. Each step is synced like an append; a scavenge broken off has done what it has done.
func (s *Store) Scavenge(ctx context.Context) (Scavenged, error) {
	s.maintenance.Lock()
	defer s.maintenance.Unlock()
	var total Scavenged
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixHead}, UpperBound: []byte{prefixHead + 1}})
	if err != nil {
		return total, fmt.Errorf("scavenge: %w", err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		if err := s.scavengeStream(ctx, string(it.Key()[1:]), &total); err != nil {
			return total, fmt.Errorf("scavenge: %w", err)
		}
	}
	if err := it.Error(); err != nil {
		return total, fmt.Errorf("scavenge: %w", err)
	}
	if total.Events == 0 {
		return total, nil
	}
	for _, p := range []byte{prefixAll, prefixStream} {
		if err := s.db.Compact(ctx, []byte{p}, []byte{p + 1}, true); err != nil {
			return total, fmt.Errorf("scavenge: give space back: %w", err)
		}
	}
	return total, nil
}

func (s *Store) scavengeStream(ctx context.Context, stream string, total *Scavenged) error {
	v, err := s.View(ctx, stream)
	if err != nil {
		return err
	}
	return s.scavengeSeen(ctx, v, total)
}

// scavengeSeen removes what is hidden in a stream as it was seen.
func (s *Store) scavengeSeen(ctx context.Context, v View, total *Scavenged) error {
	for low, some := v.kept, false; ; {
		removed, err := s.hidden(v, low)
		if errors.Is(err, errAbsent) { // a step before, whose outcome was not known, may have come through since
			now, again := s.View(ctx, v.Stream)
			if again != nil {
				return again
			}
			if now.kept > low {
				v, low = now, now.kept
				continue
			}
		}
		if err != nil || len(removed) == 0 {
			return err
		}
		if res := s.Do(Request{Kind: scavenge, Stream: v.Stream, Expected: ExpectAny, removed: removed}); res.Err != nil {
			return fmt.Errorf("stream %q: %w", v.Stream, res.Err)
		}
		if !some {
			total.Streams++
			some = true
		}
		for _, r := range removed {
			total.Events++
			total.Bytes += r.bytes
		}
		low = int64(removed[len(removed)-1].revision) + 1 //nolint:gosec // below 1<<63
	}
}

// hidden collects the next events from low on that limits or a deletion hide, and behind those the ones that are too old.
func (s *Store) hidden(v View, low int64) (removed []removal, err error) {
	first, oldest := v.First, v.oldest
	if v.Dead {
		first, oldest = v.Last+1, math.MinInt64
	}
	first = min(first, v.Last+1)
	for revision := low; revision <= v.Last && len(removed) < scavengeStep; revision++ {
		if revision >= first && oldest == math.MinInt64 {
			break
		}
		position, err := s.positionOf(v.Stream, uint64(revision)) //nolint:gosec // not negative
		if err != nil {
			return nil, fmt.Errorf("%w: revision %d of stream %q: %w", ErrCorrupt, revision, v.Stream, err)
		}
		keep := false
		err = s.get(position, func(r *Record) {
			if keep = revision >= first && r.Created >= oldest; !keep {
				removed = append(removed, removal{r.Revision, position, r.Created, r.ID, uint64(len(r.Data) + len(r.Meta))})
			}
		})
		if err != nil && !errors.Is(err, errScavenged) {
			return nil, err
		}
		if keep {
			break
		}
	}
	return removed, nil
}

// remove carries a scavenge's step out. What has been hidden stays hidden for it: limits that were lifted meanwhile come
// too late.
func (w *writer) remove(r *Request, h *head) {
	for _, x := range r.removed {
		w.set(allKey(nil, x.position), appendStub(nil, x.position, x.created))
		if err := w.batch.Delete(streamKey(nil, r.Stream, x.revision), nil); err != nil && w.spoilt == nil {
			w.spoilt = fmt.Errorf("fill batch: %w", err)
		}
		if int64(x.revision) < h.named { //nolint:gosec // below 1<<63
			w.forget(r.Stream, x)
		}
		h.first = max(h.first, int64(x.revision)+1) //nolint:gosec // below 1<<63
	}
}
