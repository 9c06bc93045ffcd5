package eventserver_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/kit/es"
)

var soakEvents = flag.Int("soak", 50_000, "events that BenchmarkSoak appends")

const (
	soakWriters = 64
	soakBatch   = 10
	soakLooks   = 20 // at the server's memory
)

// BenchmarkSoak fills a server of its own process over the network, 600 B an event, beside a subscriber that reads nothing;
// tells how its memory goes, kills it and times its next start. -soak 10000000 is the figure of note; it takes 8 GB of disk.
func BenchmarkSoak(b *testing.B) {
	dir := b.TempDir()
	cmd, addr := child(b, dir, "")
	c, err := esclient.Open(b.Context(), esclient.Config{ConnectionString: "esdb://" + addr + "?tls=false", AppendTimeout: time.Minute, StallAfter: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(b.Context())
	var still sync.WaitGroup
	defer still.Wait()
	defer cancel()
	still.Go(func() {
		for range c.Follow(ctx, 0) {
			<-ctx.Done()
		}
	})
	batches := max(1, *soakEvents/soakBatch)
	payload := fmt.Appendf(nil, "%q", strings.Repeat("x", 298))
	var next atomic.Int64
	var memory []float64
	var mu sync.Mutex
	var all sync.WaitGroup
	began := time.Now()
	for w := range soakWriters {
		all.Go(func() {
			events := make([]es.Proposed, soakBatch)
			for at := es.NoStream; ; at += soakBatch {
				n := next.Add(1)
				if n > int64(batches) {
					return
				}
				for i := range events {
					events[i] = es.Proposed{ID: es.UUID(uuid.New()), Type: "load.came", Data: payload, Meta: payload}
				}
				if _, err := c.Append(b.Context(), es.StreamID{Category: "soak", Key: strconv.Itoa(w)}, at, events); err != nil {
					b.Error(err)
					return
				}
				if n%int64(max(1, batches/soakLooks)) == 0 {
					mb := anonymous(b, cmd.Process.Pid)
					mu.Lock()
					memory = append(memory, mb)
					fmt.Fprintf(os.Stderr, "%9d events, %6.0f/s so far, %5.0f MB\n", n*soakBatch, float64(n*soakBatch)/time.Since(began).Seconds(), mb)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	rate := float64(batches*soakBatch) / time.Since(began).Seconds()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	began = time.Now()
	_, addr = child(b, dir, "")
	reopened := time.Since(began)
	again, err := esclient.Open(b.Context(), esclient.Config{ConnectionString: "esdb://" + addr + "?tls=false"})
	if err != nil {
		b.Fatal(err)
	}
	defer again.Close()
	end, err := again.End(b.Context())
	if err != nil || end < uint64(batches*soakBatch) { //nolint:gosec // not negative
		b.Fatalf("the log ends at %d: %v", end, err)
	}
	if later := memory[len(memory)/4:]; len(later) > 0 { // the first quarter fills the caches
		b.ReportMetric(slices.Min(later), "MB-least")
		b.ReportMetric(slices.Max(later), "MB-most")
	}
	b.ReportMetric(rate, "events/s")
	b.ReportMetric(reopened.Seconds(), "s-to-reopen")
	b.ReportMetric(0, "ns/op")
}

// anonymous is a process's memory that no file is behind, in MB.
func anonymous(b *testing.B, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatalf("memory of the server: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "RssAnon:" {
			kb, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				b.Fatalf("memory of the server: %v", err)
			}
			return kb / 1024
		}
	}
	b.Fatal("memory of the server: it has no RssAnon")
	return 0
}
