package runtime

import (
	"os"
	goruntime "runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	moreBeforeGC = 200 // percent of what is live
	// leastRoom is the collector's limit at least, as a multiple of what is live: the heap may double, and the runtime takes some beside it.
	leastRoom = 2.25
	// another is how far apart two limits are, as a ratio, that are worth telling apart.
	another = 1.05
)

// collector holds the heap of this process to what is usual as long as that leaves room for what is live, and to most if not.
//
// Without a limit the heap triples however large it is; with a fixed one the collector takes half of the CPU when what is live comes near it.
type collector struct {
	mu          sync.Mutex
	usual, most int64 // 0: it holds nothing
	set         int64 // the limit that is
}

// held is the collector of this process: there is one heap.
var held collector

// limit is that of a heap with so much live.
func (c *collector) limit(live uint64) int64 {
	return int64(min(max(float64(c.usual), leastRoom*float64(live)), float64(c.most)))
}

// hold begins, or goes on with others.
func (c *collector) hold(usual, most int64) {
	c.mu.Lock()
	begun := c.most > 0
	c.usual, c.most, c.set = usual, most, 0
	c.mu.Unlock()
	if c.adjust() && !begun {
		c.again()
	}
}

// adjust sets the limit by what the last collection found live. False: it holds nothing any more.
func (c *collector) adjust() bool {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most == 0 {
		return false
	}
	if now := c.limit(live[0].Value.Uint64()); float64(max(now, c.set)) > another*float64(min(now, c.set)) {
		c.set = now
		debug.SetMemoryLimit(now)
	}
	return true
}

// again adjusts the limit after the next collection, which finds cycle unreachable, and so on.
func (c *collector) again() {
	goruntime.AddCleanup(&cycle{}, func(c *collector) {
		if c.adjust() {
			c.again()
		}
	}, c)
}

// cycle is large enough to be collected by itself.
type cycle [64]byte

// BoundMemory holds the collector of this process to its share. GOGC and GOMEMLIMIT, where given, win.
func (c Config) BoundMemory() {
	if _, given := os.LookupEnv("GOMEMLIMIT"); !given {
		m := c.memory()
		held.hold(m.usual, m.collected())
	}
	if _, given := os.LookupEnv("GOGC"); !given {
		debug.SetGCPercent(moreBeforeGC)
	}
}
