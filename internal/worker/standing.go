package worker

import (
	"sync"
	"time"
)

// standing is how one build does: why it is in trouble with its tables, and when it may join the others.
type standing struct {
	slots chan struct{} // it has a few transactions by itself at a time, however many partitions it is apart in

	mu      sync.Mutex
	trouble error // with its tables, everywhere
	since   time.Time
	strikes int // how often it has left of late
	joins   time.Time
}

const (
	atOnce      = 2                // transactions of a build that goes by itself
	forgotten   = 10 * time.Second // trouble that has not been met again
	forgiven    = 5 * time.Minute  // strikes
	longestWait = time.Minute      // before it may join
)

func newStanding() *standing {
	return &standing{slots: make(chan struct{}, atOnce)}
}

// shared notes trouble in a transaction that the build had with others.
func (s *standing) shared(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble, s.since = err, time.Now()
}

// inTrouble is trouble with its tables, until the build has written something quickly or has had nothing to write for long.
func (s *standing) inTrouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.since) > forgotten {
		s.trouble = nil
	}
	return s.trouble
}

// left makes it wait before it joins again, longer each time.
func (s *standing) left(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.joins) > forgiven {
		s.strikes = 0
	}
	if now.After(s.joins) { // one reason makes it leave in many partitions
		s.joins = now.Add(min(time.Second<<s.strikes, longestWait))
		s.strikes = min(s.strikes+1, 10)
	}
	if ofTable(err) {
		s.trouble, s.since = err, now
	}
}

// wrote notes a transaction that the build had for itself.
func (s *standing) wrote(events int, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if took < usual.slow || took < time.Duration(events)*time.Millisecond/2 {
		s.trouble = nil
	}
}

func (s *standing) mayJoin() bool {
	trouble := s.inTrouble()
	s.mu.Lock()
	defer s.mu.Unlock()
	return trouble == nil && !time.Now().Before(s.joins)
}

// alone notes why a transaction that the build had for itself failed.
func (s *standing) alone(err error) {
	if !ofTable(err) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble, s.since = err, time.Now()
}
