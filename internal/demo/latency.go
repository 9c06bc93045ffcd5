package demo

import (
	"math"
	"slices"
	"time"
)

// Latencies are percentiles of some durations, in milliseconds. The highest is also the p999 of fewer than 1,000.
type Latencies struct {
	N    int     `json:"n"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

// Measured gives the percentiles, by nearest rank: p99 is a duration that was measured, and 99 % took no longer. It sorts took.
func Measured(took []time.Duration) Latencies {
	if len(took) == 0 {
		return Latencies{}
	}
	slices.Sort(took)
	rank := func(p float64) float64 {
		return Milliseconds(took[min(len(took), max(1, int(math.Ceil(p*float64(len(took))))))-1])
	}
	return Latencies{len(took), rank(0.50), rank(0.99), rank(0.999), rank(1)}
}

// Milliseconds of a duration, to the microsecond.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
