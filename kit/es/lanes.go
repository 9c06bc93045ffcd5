package es

import (
	"container/list"
	"fmt"
	"sync"
)

// lanes keeps one lane per stream. Those not in use leave, least recently used first, when together they
// hold more than the budget. Two lanes of one stream would decide against each other, so one in use stays.
type lanes struct {
	mu       sync.Mutex
	byStream map[StreamID]*list.Element // of *laneEntry
	recent   list.List                  // front: last used
	weight   int                        // bytes
	budget   int                        // bytes
}

type laneEntry struct {
	stream StreamID
	lane   any // *lane[S, P]
	users  int
	weight int
}

const (
	laneOverhead    = 512 // bytes
	commandOverhead = 200 // bytes that remembering a command takes
)

// laneOf gives the lane of a stream, to be left again.
func laneOf[S any, P State[S]](h *Handler, s StreamID) (*lane[S, P], error) {
	if s.Key == "" {
		return nil, fmt.Errorf("command for %s without a key", s.Category)
	}
	ls := &h.lanes
	ls.mu.Lock()
	defer ls.mu.Unlock()
	at, ok := ls.byStream[s]
	if !ok {
		at = ls.recent.PushFront(&laneEntry{stream: s, lane: &lane[S, P]{h: h, stream: s}})
		ls.byStream[s] = at
	}
	entry := at.Value.(*laneEntry) //nolint:forcetypeassert // nothing else is put there
	l, ok := entry.lane.(*lane[S, P])
	if !ok {
		return nil, fmt.Errorf("category %q belongs to two state types", s.Category)
	}
	entry.users++
	ls.recent.MoveToFront(at)
	return l, nil
}

// hold sets the budget.
func (ls *lanes) hold(bytes int) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.budget = bytes
}

// weigh says what a lane's state now holds, in bytes.
func (ls *lanes) weigh(s StreamID, bytes int) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	entry := ls.byStream[s].Value.(*laneEntry) //nolint:forcetypeassert // likewise
	bytes += laneOverhead
	ls.weight += bytes - entry.weight
	entry.weight = bytes
}

func (ls *lanes) stay(s StreamID) {
	ls.mu.Lock()
	ls.byStream[s].Value.(*laneEntry).users++ //nolint:forcetypeassert // likewise
	ls.mu.Unlock()
}

func (ls *lanes) leave(s StreamID) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.byStream[s].Value.(*laneEntry).users-- //nolint:forcetypeassert // likewise
	for at := ls.recent.Back(); at != nil && ls.weight > ls.budget; {
		before := at.Prev()
		if old := at.Value.(*laneEntry); old.users == 0 { //nolint:forcetypeassert // likewise
			ls.recent.Remove(at)
			delete(ls.byStream, old.stream)
			ls.weight -= old.weight
		}
		at = before
	}
}
