package esclient_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/daybook-dev/daybook/internal/es"
)

// BenchmarkAppend is single-event appends to streams of their own, 300 B of data and of metadata, durable when answered.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			c := open(b, serve(b, b.TempDir(), "127.0.0.1:0").Addr())
			payload := fmt.Appendf(nil, "%q", make([]byte, 74))
			var next atomic.Int64
			var all sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for w := range writers {
				all.Go(func() {
					for at := es.NoStream; ; at++ {
						n := next.Add(1)
						if n > int64(b.N) {
							return
						}
						e := []es.Proposed{{ID: es.UUID{byte(w), 1, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, Type: "load.came", Data: payload, Meta: payload}}
						if _, err := c.Append(b.Context(), stream(w), at, e); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkReadAll is the log read into nothing.
func BenchmarkReadAll(b *testing.B) {
	c := open(b, serve(b, b.TempDir(), "127.0.0.1:0").Addr())
	payload := fmt.Appendf(nil, "%q", make([]byte, 74))
	const n = 50_000
	for at := 0; at < n; at += 500 {
		var batch []es.Proposed
		for i := range 500 {
			batch = append(batch, es.Proposed{ID: es.UUID{1, byte((at + i) >> 16), byte((at + i) >> 8), byte(at + i)}, Type: "load.came", Data: payload, Meta: payload})
		}
		if _, err := c.Append(b.Context(), stream(0), es.Expected(at)-1, batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	got := 0
	for b.Loop() {
		for _, err := range c.ReadAll(b.Context(), 0) {
			if err != nil {
				b.Fatal(err)
			}
			got++
		}
	}
	b.ReportMetric(float64(got)/b.Elapsed().Seconds(), "events/s")
}
