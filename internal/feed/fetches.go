package feed

import (
	"context"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/internal/relay"
)

// Fetches is what the feeds of a process share to fetch from one topic: those that are at the same place of a partition share one
// request and what it brings, decoded once. Whoever comes there a little later still gets it.
type Fetches struct {
	mu      sync.Mutex
	flights map[place]*flight
	last    map[int]*flight // by partition: the newest that brought messages
}

// NewFetches makes what the feeds of a process share.
func NewFetches() *Fetches {
	return &Fetches{flights: map[place]*flight{}, last: map[int]*flight{}}
}

// place is where a feed is. Offsets of one cluster say nothing of another's.
type place struct {
	cluster, topic string
	partition      int
	offset         int64
}

// flight is a request under way, or what it brought once done is closed.
type flight struct {
	at   place
	done chan struct{}

	fetched
	err error
}

// fetched is messages, which nobody changes, and the offset after them.
type fetched struct {
	messages []relay.Message
	next     int64
}

// mostKept bounds what is kept of a partition for those who come later, in messages.
const mostKept = 100

// at gives what stands at a place, or nothing after a wait. fetch is called with a context that does not end with ctx: others may
// have come to wait for it, too.
func (f *Fetches) at(ctx context.Context, p place, wait time.Duration, fetch func(context.Context) (fetched, error)) (fetched, error) {
	one := f.join(ctx, p, fetch)
	var late <-chan time.Time
	if wait < fetchWait { // it ends by itself after that
		t := time.NewTimer(wait)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-one.done:
		return one.fetched, one.err
	case <-late:
		return fetched{next: p.offset}, nil
	case <-ctx.Done():
		return fetched{}, ctx.Err()
	}
}

// join gives the request for a place, beginning it if there is none.
func (f *Fetches) join(ctx context.Context, p place, fetch func(context.Context) (fetched, error)) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.last[p.partition]; l != nil && l.at == p {
		return l
	}
	if one := f.flights[p]; one != nil {
		return one
	}
	one := &flight{at: p, done: make(chan struct{})}
	f.flights[p] = one
	go func() {
		one.fetched, one.err = fetch(context.WithoutCancel(ctx))
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.flights, p)
		if n := len(one.messages); one.err == nil && n > 0 && n <= mostKept {
			f.last[p.partition] = one
		}
		close(one.done)
	}()
	return one
}
