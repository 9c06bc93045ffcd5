package store

import (
	"sync"
	"sync/atomic"
)

// broadcast wakes all that waited before it; it costs nothing when none does.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) wake() {
	b.mu.Lock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
	b.mu.Unlock()
}

// watchers are woken when something new may be shown.
type watchers struct {
	all     broadcast
	mu      sync.Mutex
	streams map[string]map[*Watch]struct{}
}

// Watch is woken by new events in one stream or, with no stream, in all.
type Watch struct {
	C      <-chan struct{} // a token when there may be something new; several changes may leave one token
	c      chan struct{}
	stream string
	w      *watchers
	at     atomic.Uint64
}

// Reached tells how far the watcher has read, for the figures: the last position, or, in a stream, the number of its revisions.
func (w *Watch) Reached(at uint64) { w.at.Store(at) }

// reached counts the watchers, and gives for each stream with such where the slowest is of those that said so.
func (w *watchers) reached() (n int, slowest map[string]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slowest = map[string]uint64{}
	for stream, set := range w.streams {
		n += len(set)
		for watch := range set {
			if at := watch.at.Load(); at > 0 {
				if least, ok := slowest[stream]; !ok || at < least {
					slowest[stream] = at
				}
			}
		}
	}
	return n, slowest
}

// Watch begins watching. A read after it misses nothing.
func (s *Store) Watch(stream string) *Watch {
	c := make(chan struct{}, 1)
	w := &Watch{C: c, c: c, stream: stream, w: &s.watch}
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	set := s.watch.streams[stream]
	if set == nil {
		set = map[*Watch]struct{}{}
		s.watch.streams[stream] = set
	}
	set[w] = struct{}{}
	return w
}

// Close ends the watching.
func (w *Watch) Close() {
	w.w.mu.Lock()
	defer w.w.mu.Unlock()
	delete(w.w.streams[w.stream], w)
	if len(w.w.streams[w.stream]) == 0 {
		delete(w.w.streams, w.stream)
	}
}

func (w *watchers) tell(touched map[string]struct{}) {
	w.all.wake()
	w.mu.Lock()
	defer w.mu.Unlock()
	wakeSet(w.streams[""])
	if len(w.streams) == 0 || len(w.streams) == 1 && w.streams[""] != nil {
		return
	}
	if len(touched) < len(w.streams) {
		for stream := range touched {
			wakeSet(w.streams[stream])
		}
		return
	}
	for stream, set := range w.streams {
		if _, ok := touched[stream]; ok {
			wakeSet(set)
		}
	}
}

func (w *watchers) wakeAll() {
	w.all.wake()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, set := range w.streams {
		wakeSet(set)
	}
}

func wakeSet(set map[*Watch]struct{}) {
	for w := range set {
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}
