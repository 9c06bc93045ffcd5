package bench

import (
	"context"
	"errors"
	"sync"
	"time"
)

// sample is one round of one thing.
type sample struct {
	ops     int
	seconds float64
	took    []time.Duration
	used    usage // of the process under test
	load    usage // of this process, which makes the load
}

// errNothing: a call took longer than a whole round.
var errNothing = errors.New("nothing was done in a whole round")

// closed has workers that each do op, wait for it and do the next, for as long as the round takes. What ends within the round
// counts; what begins within it is timed, however late it ends.
func (b *bench) closed(ctx context.Context, workers int, under process, op func(ctx context.Context, worker int) error) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now().Add(b.warmUp)
	end := begin.Add(b.round)
	took, ops := make([][]time.Duration, workers), make([]int, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for now := time.Now(); now.Before(end); {
				err := op(ctx, w)
				done := time.Now()
				if err != nil {
					cancel(err)
					return
				}
				if !now.Before(begin) {
					took[w] = append(took[w], done.Sub(now))
				}
				if !done.Before(begin) && !done.After(end) {
					ops[w]++
				}
				now = done
			}
		})
	}
	used, load, err := b.during(ctx, begin, end, under)
	all.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return sample{}, cause
	}
	s := sample{seconds: end.Sub(begin).Seconds(), used: used, load: load}
	for w := range workers {
		s.took = append(s.took, took[w]...)
		s.ops += ops[w]
	}
	if s.ops == 0 && err == nil {
		err = errNothing
	}
	return s, err
}

// open does op when it is due, rate times a second, however the others fare; op measures itself, from when it was due.
func (b *bench) open(ctx context.Context, rate float64, under process, op func(ctx context.Context, i int, due time.Time) error) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	n := max(1, int(rate*b.round.Seconds()))
	end := begin.Add(time.Duration(float64(n) / rate * float64(time.Second)))
	var all sync.WaitGroup
	all.Go(func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for i := range n {
			due := begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			timer.Reset(time.Until(due))
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			all.Go(func() {
				if err := op(ctx, i, due); err != nil {
					cancel(err)
				}
			})
		}
	})
	used, load, err := b.during(ctx, begin, end, under)
	all.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return sample{}, cause
	}
	return sample{ops: n, seconds: time.Since(begin).Seconds(), used: used, load: load}, err
}

// during is what the process under test used from begin to end, and what this one did beside it.
func (b *bench) during(ctx context.Context, begin, end time.Time, under process) (used, load usage, err error) {
	wait := func(until time.Time) {
		select {
		case <-time.After(time.Until(until)):
		case <-ctx.Done():
		}
	}
	wait(begin)
	before, err := under.usage()
	if err != nil {
		return usage{}, usage{}, err
	}
	own, err := here().usage()
	if err != nil {
		return usage{}, usage{}, err
	}
	wait(end)
	after, err := under.usage()
	if err != nil {
		return usage{}, usage{}, err
	}
	if under == here() {
		return after.since(before), usage{}, nil
	}
	ownAfter, err := here().usage()
	return after.since(before), ownAfter.since(own), err
}

// gathered is durations from many goroutines.
type gathered struct {
	mu   sync.Mutex
	took []time.Duration
}

func (g *gathered) add(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.took = append(g.took, d)
}
