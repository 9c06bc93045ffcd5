//go:build long

package esclient_test

import (
	"testing"
	"time"
)

// TestServerAwayForAMinute is the outage that everything must survive.
func TestServerAwayForAMinute(t *testing.T) {
	t.Parallel()
	serverRestarts(t, time.Minute, 1)
}
