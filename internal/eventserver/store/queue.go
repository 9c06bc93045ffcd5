package store

import "sync"

// Source is one client's place in the queue: the writer takes from all sources in turn, so that a client which
// sends much does not keep the others waiting. A Source needs no closing.
type Source struct {
	waiting []*Request
	listed  bool
}

// queue holds requests between the servers' goroutines and the writer.
type queue struct {
	mu     sync.Mutex
	active []*Source // those with something waiting, in turn
	again  []*Request
	wake   chan struct{}
	closed bool
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// put reports false when the queue is closed.
func (q *queue) put(src *Source, r *Request) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	src.waiting = append(src.waiting, r)
	if !src.listed {
		src.listed = true
		q.active = append(q.active, src)
	}
	q.mu.Unlock()
	q.signal()
	return true
}

// putBack puts back requests that must wait for the present batch; they come first in the next one.
func (q *queue) putBack(rs []*Request) {
	if len(rs) == 0 {
		return
	}
	q.mu.Lock()
	q.again = append(q.again, rs...)
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

const turnBytes = 64 << 10 // what one source may add to a batch before it is the next one's turn

// take moves waiting requests into dst, up to maxBytes and maxRequests (at least one if any waits).
func (q *queue) take(dst []*Request, maxBytes, maxRequests int) []*Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	dst = append(dst, q.again...)
	clear(q.again)
	q.again = q.again[:0]
	bytes := 0
	for len(q.active) > 0 && bytes < maxBytes && len(dst) < maxRequests {
		src := q.active[0]
		turn, n := 0, 0
		for n < len(src.waiting) && turn < turnBytes && bytes+turn < maxBytes && len(dst) < maxRequests {
			dst = append(dst, src.waiting[n])
			turn += src.waiting[n].size
			n++
		}
		bytes += turn
		rest := copy(src.waiting, src.waiting[n:])
		clear(src.waiting[rest:])
		src.waiting = src.waiting[:rest]
		copy(q.active, q.active[1:])
		q.active[len(q.active)-1] = nil
		q.active = q.active[:len(q.active)-1]
		if rest > 0 {
			q.active = append(q.active, src)
		} else {
			src.listed = false
			if cap(src.waiting) > 1024 {
				src.waiting = nil
			}
		}
	}
	if len(q.active) > 0 || len(q.again) > 0 {
		q.signal()
	}
	return dst
}

// close refuses further requests and hands back those that wait.
func (q *queue) close() []*Request {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	var all []*Request
	for {
		n := len(all)
		if all = q.take(all, 1<<30, n+1<<20); len(all) == n {
			return all
		}
	}
}
