package diskspace

import (
	"errors"
	"testing"
	"time"
)

func TestADiskThatCannotSoonBeFullIsLookedAtSeldom(t *testing.T) {
	t.Parallel()
	const every, files, wanted = 100 * time.Millisecond, 1 << 20, 16 << 20
	for name, tt := range map[string]struct {
		g    *Guard
		want time.Duration
	}{
		"nearly empty":      {&Guard{free: 100 << 30, files: files}, rests},
		"full in a second":  {&Guard{free: perSecond + wanted, files: files}, time.Second},
		"full at once":      {&Guard{free: 100 << 20, files: files}, every},
		"few files":         {&Guard{free: 100 << 30, files: 10 * minFiles}, every},
		"low":               {&Guard{free: 100 << 30, files: files, low: true}, every},
		"less than reserve": {&Guard{free: wanted - 1, files: files}, every},
		"unknown":           {&Guard{free: 100 << 30, files: files, failed: errors.New("stale handle")}, every},
	} {
		tt.g.cfg = Config{Every: every, MinFree: wanted}
		if got := tt.g.pause(); got != tt.want {
			t.Errorf("%s: next look after %s, want %s", name, got, tt.want)
		}
	}
}
