package estest

import (
	"errors"
	"iter"

	"github.com/daybook-dev/daybook/kit/es"
)

// follower takes a Follow apart, one record at a time.
type follower struct {
	s    *subject
	next func() (es.Record, error)
	stop func()
	last uint64
}

func (s *subject) follow(after uint64) *follower {
	next, stop := pull(s.Log.Follow(s.ctx, after))
	return &follower{s: s, next: next, stop: stop, last: after}
}

func pull(seq iter.Seq2[es.Record, error]) (next func() (es.Record, error), stop func()) {
	pulled, stop := iter.Pull2(seq)
	return func() (es.Record, error) {
		r, err, ok := pulled()
		if !ok {
			return es.Record{}, errors.New("following ended without an error")
		}
		return r, err
	}, stop
}

// untilCaughtUp gives this run's events up to the sign that there are no more.
func (f *follower) untilCaughtUp() []es.Record {
	f.s.Helper()
	return f.take(func(r es.Record, _ int) bool { return r.Position == 0 })
}

// until gives this run's next n events.
func (f *follower) until(n int) []es.Record {
	f.s.Helper()
	return f.take(func(_ es.Record, have int) bool { return have == n })
}

func (f *follower) take(enough func(es.Record, int) bool) (got []es.Record) {
	f.s.Helper()
	for {
		r, err := f.next()
		if err != nil {
			f.s.Fatalf("follow, after position %d: %v", f.last, err)
		}
		if r.Position > 0 {
			if r.Position <= f.last {
				f.s.Fatalf("follow: position %d comes after %d", r.Position, f.last)
			}
			if !r.Recorded() {
				f.s.Errorf("follow: %s %s is not for readers of the log", r.Stream, r.Type)
			}
			if f.last = r.Position; f.s.mine(r) {
				got = append(got, r)
			}
		}
		if enough(r, len(got)) {
			return got
		}
	}
}
