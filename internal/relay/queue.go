package relay

import (
	"context"
	"sync"

	"github.com/daybook-dev/daybook/kit/es"
)

// link is a record and where its partition's chain was before it.
type link struct {
	record es.Record
	prev   uint64
	size   int
}

// overhead is more than what a message weighs beside the record's own bytes: headers' names, numbers, times, lengths.
const overhead = 1024

// sizeOf is more than what a record weighs in a batch.
func sizeOf(rec es.Record) int {
	return overhead + len(rec.Data) + len(rec.Meta) + 2*len(rec.Type) + 2*3*len(rec.Stream.Key) + len(rec.Stream.Category)
}

// queue holds what a partition has to publish. What is in it is bounded by the ledger.
type queue struct {
	mu    sync.Mutex
	links []link
	wake  chan struct{}
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) push(l link) {
	q.mu.Lock()
	q.links = append(q.links, l)
	first := len(q.links) == 1
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// take waits for something to publish and gives as much of it as fits into limit bytes, one record at least.
func (q *queue) take(ctx context.Context, limit int) ([]link, error) {
	for {
		q.mu.Lock()
		if n := fitting(q.links, limit); n > 0 {
			batch := q.links[:n:n]
			if q.links = q.links[n:]; len(q.links) == 0 {
				q.links = nil
			}
			q.mu.Unlock()
			return batch, nil
		}
		q.mu.Unlock()
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func fitting(links []link, limit int) int {
	bytes := 0
	for n, l := range links {
		if bytes += l.size; bytes > limit && n > 0 {
			return n
		}
	}
	return len(links)
}
