package reader

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// Lags is how far read models are behind the head of the log.
type Lags struct {
	Head   uint64
	Models []ModelLag // by name
	// All tells whether everything up to the head was counted. If not, each number of events is the least it can be.
	All bool
}

// ModelLag is that of one read model's live build.
type ModelLag struct {
	Name    string
	Version int  // that serves; 0: none does
	Known   bool // to this program
	Parts   []PartitionLag
}

// PartitionLag is that of one partition.
type PartitionLag struct {
	Position uint64    // of the checkpoint
	Events   int       // that are recorded and not applied
	Oldest   time.Time // when the first of them was recorded; zero: there is none, or it was not counted
}

// Behind is the age of the oldest event that is recorded and not applied.
func (l PartitionLag) Behind(now time.Time) time.Duration {
	if l.Oldest.IsZero() {
		return 0
	}
	return max(now.Sub(l.Oldest), 0)
}

// How many events of the log are read at most to count those that are not applied. Nothing is read when nothing is.
const (
	countedAtMost = 10_000 // from the lowest position
	// A partition that is less behind is then looked at by itself, so that one read model far behind does not hide another that stalls.
	looksBeyond   = 8
	countedBeyond = 1000
)

// Lags compares the checkpoints of the live builds with the head of the log.
func (r *Reader) Lags(ctx context.Context, log es.Log, ps ...projection.Projection) (Lags, error) {
	plans, err := plan.Compile(ps...)
	if err != nil {
		return Lags{}, err
	}
	versions := map[string][]int{}
	var names []string
	for _, p := range plans {
		if versions[p.Name] == nil {
			names = append(names, p.Name)
		}
		versions[p.Name] = append(versions[p.Name], p.Version)
	}
	slices.Sort(names)
	leave, err := r.aside(ctx)
	if err != nil {
		return Lags{}, err
	}
	defer leave()
	// The head first: what is applied meanwhile is then not behind it.
	head, err := log.End(ctx)
	if err != nil {
		return Lags{}, fmt.Errorf("find the head of the log: %w", err)
	}
	serving, relay, err := r.standing(ctx, names)
	if err != nil {
		return Lags{}, fmt.Errorf("read where the read models are: %w", err)
	}
	l := Lags{Head: head}
	reached, low := make([][]uint64, len(names)), head
	for i, name := range names {
		live, ok := serving[name]
		m := ModelLag{Name: name, Version: live.version, Known: ok && slices.Contains(versions[name], live.version)}
		for p, at := range live.position {
			position := uint64(at) //nolint:gosec // checkpoints are not negative
			m.Parts = append(m.Parts, PartitionLag{Position: position})
			reached[i] = append(reached[i], reachedAt(position, p, relay))
			low = min(low, reached[i][p])
		}
		l.Models = append(l.Models, m)
	}
	if err := l.measure(ctx, log, low, reached, relay.Last); err != nil {
		return Lags{}, fmt.Errorf("count the events after %d: %w", low, err)
	}
	return l, nil
}

// measure counts the events after what each partition has reached, from the lowest of these positions. last is the relay's, by partition.
func (l *Lags) measure(ctx context.Context, log es.Log, low uint64, reached [][]uint64, last []uint64) error {
	end, err := l.count(ctx, log, low, countedAtMost, reached)
	l.All = end >= l.Head
	for range looksBeyond {
		parts := l.uncounted(last)
		if err != nil || len(parts) == 0 {
			break
		}
		least := slices.MinFunc(parts, func(a, b *PartitionLag) int { return cmp.Compare(a.Position, b.Position) })
		end, err = l.count(ctx, log, max(end, least.Position), countedBeyond, reached)
	}
	for _, one := range l.uncounted(last) {
		one.Events = 1
	}
	return err
}

// count reads the log after a position, at most so many events of it, and gives the last position that is counted.
func (l *Lags) count(ctx context.Context, log es.Log, after uint64, most int, reached [][]uint64) (end uint64, err error) {
	if after >= l.Head {
		return l.Head, nil
	}
	read, end := 0, after
	for rec, err := range log.ReadAll(ctx, after) {
		switch read++; {
		case err != nil:
			return end, err
		case rec.Position > l.Head:
			return l.Head, nil
		case read > most:
			return end, nil
		}
		if end = rec.Position; !rec.Relayed() {
			continue
		}
		for i, m := range l.Models {
			if len(m.Parts) == 0 {
				continue
			}
			p := topic.PartitionOf(rec.Stream.Partition(), len(m.Parts))
			if rec.Position <= reached[i][p] {
				continue
			}
			one := &m.Parts[p]
			if one.Events++; one.Events == 1 {
				one.Oldest = rec.Created
			}
		}
	}
	return l.Head, nil
}

// uncounted are partitions that the relay knows to be behind, and of which no event was counted.
func (l *Lags) uncounted(last []uint64) (parts []*PartitionLag) {
	for _, m := range l.Models {
		for p := range m.Parts {
			if one := &m.Parts[p]; one.Events == 0 && p < len(last) && one.Position < last[p] && last[p] <= l.Head {
				parts = append(parts, one)
			}
		}
	}
	return parts
}
