// Package beat lets what a process does from time to time fall together. To wake up costs an idle process more than what it then does, so
// everything that looks once a second does so at one moment of the second.
package beat

import (
	"context"
	"time"

	"github.com/daybook-dev/daybook/internal/backoff"
)

// began is where the beats of this process are counted from: processes that share servers do not ask them all at once.
var began = time.Now()

// Next is the first beat of a period after a moment: a multiple of the period since the process began.
func Next(after time.Time, period time.Duration) time.Time {
	into := after.Sub(began) % period
	if into < 0 {
		into += period
	}
	return after.Add(period - into)
}

// Wait returns at the next beat of a period, or with the context's error.
func Wait(ctx context.Context, period time.Duration) error {
	return backoff.Wait(ctx, time.Until(Next(time.Now(), period)))
}
