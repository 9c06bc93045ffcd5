package runtime

import (
	"testing"
	"time"
)

func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", 30 * time.Second: "30s", time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 200 * time.Millisecond: "200ms"} {
		if got := shortDuration(d); got != want {
			t.Errorf("%s is shown as %q, want %q", d, got, want)
		}
	}
}
