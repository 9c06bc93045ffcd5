package worker_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/projection"
)

// BenchmarkCatchUp posts 100,000 events of 20,000 parcels into a table with history, in batches as a catch-up has them,
// all partitions at once.
func BenchmarkCatchUp(b *testing.B) {
	const n, keys = 100_000, 20_000
	j := newJournal()
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		key := fmt.Sprintf("parcel-k%d", rng.IntN(keys))
		if i%2 == 0 {
			j.add(key, counted{N: 3, Items: []item{{"MUG-BLUE", 2}}}, i, i)
		} else {
			j.add(key, weighed{int64(i % 1000)}, i, i)
		}
	}
	for name, ps := range map[string][]projection.Projection{"history": {parcels}, "history, items and totals": all} {
		b.Run(name, func(b *testing.B) {
			var spent time.Duration
			for range b.N {
				w := newWorker(b, postgrestest.New(b), ps...)
				runtime.GC()
				begin := time.Now()
				var posting sync.WaitGroup
				for p := range partitions {
					posting.Go(func() {
						after := uint64(0)
						for batch := range slices.Chunk(j.parts[p], 1000) {
							if err := w.Apply(b.Context(), p, after, batch); err != nil {
								b.Error(err)
								return
							}
							after = batch[len(batch)-1].Position
						}
					})
				}
				posting.Wait()
				spent += time.Since(begin)
			}
			b.ReportMetric(float64(n*b.N)/spent.Seconds(), "events/s")
		})
	}
}

// BenchmarkLive posts one event at a time.
func BenchmarkLive(b *testing.B) {
	w := newWorker(b, postgrestest.New(b), all...)
	j := newJournal()
	for i := range b.N {
		j.add("parcel-a", counted{N: int64(i)}, i, i)
	}
	b.ResetTimer()
	after := uint64(0)
	for p := range partitions {
		for _, rec := range j.parts[p] {
			if err := w.Apply(b.Context(), p, after, j.parts[p][:1]); err != nil {
				b.Fatal(err)
			}
			after, j.parts[p] = rec.Position, j.parts[p][1:]
		}
	}
}
