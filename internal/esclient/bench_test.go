package esclient_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/kit/es"
)

// BenchmarkAppend is single-event appends to streams of their own, 300 B of data and of metadata, durable when answered.
func BenchmarkAppend(b *testing.B) {
	for _, local := range []bool{false, true} {
		name := "TCP"
		if local {
			name = "local"
		}
		for _, writers := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/%d", name, writers), func(b *testing.B) { benchAppend(b, local, writers, 1) })
		}
		b.Run(name+"/64-of-10", func(b *testing.B) { benchAppend(b, local, 64, 10) })
	}
}

func benchAppend(b *testing.B, local bool, writers, per int) {
	server := serve(b, b.TempDir(), "127.0.0.1:0")
	cfg := esclient.Config{ConnectionString: server.ConnectionString()}
	if local {
		cfg.Local = server.Local()
	}
	c := openWith(b, cfg)
	payload := fmt.Appendf(nil, "%q", make([]byte, 74))
	var next atomic.Int64
	var all sync.WaitGroup
	b.ReportAllocs()
	before := cpu(b)
	b.ResetTimer()
	for w := range writers {
		all.Go(func() {
			e := make([]es.Proposed, per)
			for at := es.NoStream; next.Add(1) <= int64(b.N); at += es.Expected(per) {
				for i := range e {
					e[i] = es.Proposed{ID: es.UUID(uuid.New()), Type: "load.came", Data: payload, Meta: payload}
				}
				if _, err := c.Append(b.Context(), stream(w), at, e); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	n := float64(b.N * per)
	b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/n, "cpu-µs/op")
}

// cpu is what this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReadAll is the log read into nothing.
func BenchmarkReadAll(b *testing.B) {
	server := serve(b, b.TempDir(), "127.0.0.1:0")
	payload := fmt.Appendf(nil, "%q", make([]byte, 74))
	const n = 50_000
	for _, local := range []bool{false, true} {
		name, cfg := "TCP", esclient.Config{ConnectionString: server.ConnectionString()}
		if local {
			name, cfg.Local = "local", server.Local()
		}
		c := openWith(b, cfg)
		for at := 0; at < n && !local; at += 500 {
			var batch []es.Proposed
			for range 500 {
				batch = append(batch, es.Proposed{ID: es.UUID(uuid.New()), Type: "load.came", Data: payload, Meta: payload})
			}
			if _, err := c.Append(b.Context(), stream(0), es.Expected(at)-1, batch); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name, func(b *testing.B) {
			got := 0
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				for _, err := range c.ReadAll(b.Context(), 0) {
					if err != nil {
						b.Fatal(err)
					}
					got++
				}
			}
			b.ReportMetric(float64(got)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(got), "cpu-µs/event")
		})
	}
}
