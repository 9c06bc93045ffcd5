package bench

import (
	"context"
	"errors"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(tt.of); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.of, got, tt.want)
		}
	}
}

func TestRowsAndRatios(t *testing.T) {
	round := func(ops int, took time.Duration) sample {
		return sample{ops: ops, seconds: 2, took: []time.Duration{took}, used: usage{time.Second, 0, 3 << 20}, load: usage{cpu: time.Second / 2}}
	}
	r := Report{Rows: []Row{
		row("append", "slow", []sample{round(100, time.Millisecond)}, 1),
		row("append", "fast", []sample{round(200, time.Millisecond), round(1000, 3*time.Millisecond), round(400, time.Millisecond)}, 1),
		row("append", "batches", []sample{round(10, time.Millisecond)}, 100),
		row("other", "slow", []sample{round(1, time.Millisecond)}, 1),
	}}
	fast := r.Rows[1]
	if fast.PerSecond != 200 || fast.Latency.N != 3 || fast.Latency.Max != 3 || fast.Memory != 3 || math.Abs(fast.CPU-3e6/1600) > 0.01 || math.Abs(fast.Load-1.5e6/1600) > 0.01 {
		t.Errorf("%+v", fast)
	}
	if b := r.Rows[2]; b.PerSecond != 500 {
		t.Errorf("%+v", b)
	}
	r.beside("append", "fast", "slow", 5)
	r.beside("append", "batches", "slow", 5)
	r.beside("append", "batches", "none", 5)
	if r.Rows[1].Ratio != 4 || r.Rows[2].Ratio != 10 || r.Rows[3].To != "" {
		t.Errorf("%+v", r.Rows)
	}
	if s := r.String(); !strings.Contains(s, "4.00 × slow (≥ 5: MISSED)") || !strings.Contains(s, "10.00 × slow (≥ 5: reached)") {
		t.Error(s)
	}
}

func TestMemoryIsATableOfMinutes(t *testing.T) {
	r := Report{Memory: []Resident{{0, 0, 70, 90}, {1.01, 1234, 150.4, 140.2}}}
	for _, want := range []string{"minute      orders", "1.0           1234          150           140       291"} {
		if s := r.String(); !strings.Contains(s, want) {
			t.Errorf("without %q:\n%s", want, s)
		}
	}
	if s := (&Report{}).String(); strings.Contains(s, "minute") {
		t.Error(s)
	}
}

// A closed loop counts what was done between warm-up and end, times also what is slow, and stops at the first error.
func TestClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{round: 200 * time.Millisecond, warmUp: 100 * time.Millisecond}
		s, err := b.closed(t.Context(), 4, here(), func(context.Context, int) error {
			time.Sleep(11 * time.Millisecond)
			return nil
		})
		const done = 4 * 18 // those of each worker that end from 110 to 297 ms
		if err != nil || len(s.took) != done || s.ops != done || s.seconds != 0.2 {
			t.Errorf("%d done in %v s, %d timed: %v", s.ops, s.seconds, len(s.took), err)
		}
		one := 0
		s, err = b.closed(t.Context(), 1, here(), func(context.Context, int) error {
			if one++; one > 8 {
				time.Sleep(300 * time.Millisecond)
			} else {
				time.Sleep(15 * time.Millisecond)
			}
			return nil
		})
		if err != nil || s.took[len(s.took)-1] != 300*time.Millisecond {
			t.Errorf("what was slow was not timed: %v %v", s.took, err)
		}
		broken := errors.New("broken")
		if _, err := b.closed(t.Context(), 4, here(), func(context.Context, int) error { return broken }); !errors.Is(err, broken) {
			t.Error(err)
		}
		if _, err := b.closed(t.Context(), 1, here(), func(context.Context, int) error { time.Sleep(400 * time.Millisecond); return nil }); err == nil {
			t.Error("nothing was done, and that is a figure")
		}
	})
}

// An open loop does not wait for what is slow.
func TestOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{round: 200 * time.Millisecond}
		var late gathered
		s, err := b.open(t.Context(), 100, here(), func(_ context.Context, i int, due time.Time) error {
			if i == 0 {
				time.Sleep(300 * time.Millisecond)
			}
			late.add(time.Since(due))
			return nil
		})
		if err != nil || s.ops != 20 || len(late.took) != 20 || late.took[len(late.took)-1] != 300*time.Millisecond {
			t.Errorf("%d due, %d done, the last after %v: %v", s.ops, len(late.took), late.took, err)
		}
	})
}

func TestUsage(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIP usage: /proc is Linux'")
	}
	before, err := here().usage()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	held := make([]byte, 32<<20)
	for began := time.Now(); time.Since(began) < 200*time.Millisecond; {
		for i := range held {
			held[i]++
		}
	}
	if _, err := f.Write(held[:1<<20]); err != nil {
		t.Fatal(err)
	}
	if err := datasync(f); err != nil {
		t.Fatal(err)
	}
	after, err := here().usage()
	if used := after.since(before); err != nil || used.cpu < 10*time.Millisecond || used.cpu > 20*time.Second || after.resident < 32<<20 {
		t.Errorf("used %+v: %v", used, err)
	}
	runtime.KeepAlive(held)
}
