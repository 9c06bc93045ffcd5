package reactor

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// openStreams knows in which streams of a partition intents may be open: perhaps more than there are, never fewer. So an event that would
// wake some is known to wake none. Only who moves a partition's checkpoint opens intents in it: what was read there holds until a
// move fails, or the partition is another process'.
type openStreams struct {
	mu sync.Mutex
	in map[int]map[waking]bool // by partition; nil: not known
}

// openMost is how many streams of a partition are remembered.
const openMost = 1000

func (o *openStreams) mayHave(partition int, w waking) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := o.in[partition]
	return known == nil || known[w]
}

// load reads what is not known.
func (o *openStreams) load(ctx context.Context, pool *pgxpool.Pool, partition int) error {
	o.mu.Lock()
	known := o.in[partition] != nil
	o.mu.Unlock()
	if known {
		return nil
	}
	rows, err := pool.Query(ctx, `select distinct reactor, stream from daybook.reactor_waiting where partition = $1 limit $2`, partition, openMost+1)
	if err != nil {
		return err
	}
	found := map[waking]bool{}
	var w waking
	if _, err := pgx.ForEachRow(rows, []any{&w.reactor, &w.stream}, func() error { found[w] = true; return nil }); err != nil {
		return err
	}
	if len(found) > openMost {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.in[partition] = found
	return nil
}

// add notes rows that were written.
func (o *openStreams) add(partition int, rows []openRow) {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := o.in[partition]
	if known == nil {
		return
	}
	for _, r := range rows {
		known[r.waking()] = true
	}
	if len(known) > openMost {
		delete(o.in, partition)
	}
}

func (o *openStreams) forget(partition int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.in, partition)
}
