// Package backoff says how long to wait before the next try, and waits. It keeps no state: tries are counted where they are known,
// often in a row of Postgres or in an instance that outlives the process.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Policy is how the waits between tries grow.
type Policy struct {
	First time.Duration // after the first try
	Most  time.Duration // the longest
}

// After is the wait after so many tries, which count from 1: First, doubled with each try up to Most, of which a random half at most
// is left out, so that those who failed together do not try together.
func (p Policy) After(tries int) time.Duration {
	d := p.First
	for ; tries > 1 && d < p.Most; tries-- {
		d *= 2
	}
	d = min(d, p.Most)
	return d/2 + rand.N(d/2+1) //nolint:gosec // jitter
}

// Wait returns after the wait of so many tries, or with the context's error.
func (p Policy) Wait(ctx context.Context, tries int) error { return Wait(ctx, p.After(tries)) }

// Wait returns after d, or with the context's error.
func Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
