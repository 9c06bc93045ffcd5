package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkAppend is the store alone: writers that each wait for their append, 600 B, own streams, revision checked, synced.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(strconv.Itoa(writers), func(b *testing.B) {
			s, err := Open(Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			payload := make([]byte, 300)
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			before := cpu(b)
			b.ResetTimer()
			for w := range writers {
				wg.Go(func() {
					src, done := &Source{}, make(chan Result, 1)
					for n := ExpectNoStream; left.Add(-1) >= 0; n++ {
						s.Submit(src, &Request{Stream: fmt.Sprintf("s-%d", w), Expected: n, Done: func(r Result) { done <- r },
							Events: []Event{{ID: newID(), Type: "thing.happened", JSON: true, Data: payload, Meta: payload}}})
						if r := <-done; r.Err != nil {
							b.Error(r.Err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// cpu is what this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDisk is what the disk gives under it: 700 B appended and synced, one after another.
func BenchmarkDisk(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 700)
	for b.Loop() {
		if _, err := f.Write(buf); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
}
