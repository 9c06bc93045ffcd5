package runtime

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestMemoryIsSplitWithinItsTarget(t *testing.T) {
	t.Parallel()
	sizes := []int64{leastMemory, leastMemory + 1, 1 << 30, 1 << 40}
	for range 1000 {
		sizes = append(sizes, leastMemory+rand.Int64N(64<<30))
	}
	for _, target := range sizes {
		for _, postgres := range []bool{true, false} {
			for _, events := range []bool{true, false} {
				sagas := rand.IntN(2) == 0
				m := splitMemory(target, postgres, events, sagas)
				if sum := m.postgres + m.collected() + programCode; sum > target || sum < target-shares {
					t.Fatalf("%d is split into %+v, together %d", target, m, sum)
				}
				if m.usual <= 0 || m.usual > m.collected() {
					t.Fatalf("%d: usually %d of at most %d", target, m.usual, m.collected())
				}
				if (m.postgres > 0) != postgres || (m.blocks > 0) != events || (m.tables > 0) != events || (m.instances > 0) != sagas {
					t.Fatalf("%d with Postgres %t, with an event store %t, with sagas %t: %+v", target, postgres, events, sagas, m)
				}
				parts := map[string]int64{"keys": m.keys, "states": m.states, "rest": m.rest}
				if events {
					parts["blocks"], parts["a table"] = m.blocks, m.tables/tablesAtOnce
				}
				if sagas {
					parts["instances"] = m.instances
				}
				for what, part := range parts {
					if part < leastCache {
						t.Fatalf("%d leaves %d bytes for %s", target, part, what)
					}
				}
			}
		}
	}
}

func TestMemoryThatIsTooLittleIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"255MiB": "memory: 255MiB is too little, it takes 256MiB at least", "much": `memory (flag --memory): "much" is not a size`, "0": "is not a size",
		"256MiB": "",
	} {
		c := DefaultConfig(usualName)
		_, _, err := Load(Sources{Name: usualName, Flags: map[string]string{"memory": text}}, c.Settings())
		err = errors.Join(err, c.Validate(nil))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("--memory %s: %v, want %q", text, err, want)
		}
	}
}

func TestTheMachinesMemoryIsThatOfItsControlGroups(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	meminfo := file("MemTotal:       16777216 kB\nMemFree:        1 kB\n")
	for name, tt := range map[string]struct {
		root fstest.MapFS
		want int64
	}{
		"nothing known":    {fstest.MapFS{}, unknownMachine},
		"no control group": {fstest.MapFS{"proc/meminfo": meminfo}, 16 * gib},
		"version 2, a service of a slice": {fstest.MapFS{
			"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/system.slice/daybook.service\n"),
			"sys/fs/cgroup/system.slice/memory.max":                 file("2147483648\n"),
			"sys/fs/cgroup/system.slice/daybook.service/memory.max": file("max\n"),
		}, 2 * gib},
		"version 2, a container": {fstest.MapFS{
			"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("536870912\n"),
		}, gib / 2},
		"version 1": {fstest.MapFS{
			"proc/meminfo": meminfo, "proc/self/cgroup": file("5:cpu,cpuacct:/docker/a\n4:memory:/docker/a\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes":          file("9223372036854771712\n"),
			"sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes": file("3221225472\n"),
		}, 3 * gib},
		"a limit above what there is": {fstest.MapFS{
			"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("1099511627776\n"),
		}, 16 * gib},
	} {
		if got := machineMemory(tt.root); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	for have, want := range map[int64]int64{16 * gib: gib, 2 * gib: gib / 2, gib / 2: leastMemory} {
		if got := usualMemory(have); got != want {
			t.Errorf("of %d the target is %d, want %d", have, got, want)
		}
	}
}

func TestTheCollectorIsHeldToItsShare(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	defer func() {
		held.hold(0, 0)
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}()
	c := DefaultConfig(usualName)
	c.Roles = Domain{}.Roles()
	c.Memory = 512 << 20
	t.Setenv("GOMEMLIMIT", "off") // restored afterwards
	t.Setenv("GOGC", "70")
	c.BoundMemory()
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("a limit of %d was set over what the environment says", got)
	}
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	c.BoundMemory()
	m := splitMemory(512<<20, true, true, true)
	if got := debug.SetMemoryLimit(-1); got < m.usual || got > m.collected() {
		t.Errorf("the limit is %d, usual is %d, at most %d", got, m.usual, m.collected())
	}
	if got := debug.SetGCPercent(100); got != moreBeforeGC {
		t.Errorf("GOGC is %d", got)
	}
}

// With little live the limit is what is usual. What is live has room to double, as long as that is within the target.
func TestTheCollectorHasRoomForWhatIsLive(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	c := collector{usual: 200 * mib, most: 600 * mib}
	for live, want := range map[uint64]int64{0: 200, 40: 200, 80: 200, 100: 225, 200: 450, 300: 600, 5000: 600} {
		if got := c.limit(live * mib); got != want*mib {
			t.Errorf("with %d MiB live the limit is %d MiB, want %d", live, got/mib, want)
		}
	}
}

// The limit follows what is live from one collection to the next, up and down.
func TestTheCollectorsLimitFollowsTheHeap(t *testing.T) {
	limit := debug.SetMemoryLimit(math.MaxInt64)
	defer func() {
		held.hold(0, 0)
		debug.SetMemoryLimit(limit)
	}()
	const usual = 1 << 20 // less than is live anyway
	held.hold(usual, math.MaxInt64/4)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	until := func(what string, right func(limit int64) bool) int64 {
		for ; ; goruntime.Gosched() {
			goruntime.GC()
			if got := debug.SetMemoryLimit(-1); right(got) {
				return got
			} else if ctx.Err() != nil {
				t.Fatalf("%s: the limit is %d", what, got)
			}
		}
	}
	small := until("at first", func(limit int64) bool { return limit > usual && limit < math.MaxInt64/4 })
	large := make([]byte, 64<<20)
	until("with 64 MiB more", func(limit int64) bool { return limit > small+int64(len(large)) })
	goruntime.KeepAlive(large)
	large = nil
	until("without them", func(limit int64) bool { return limit < small+32<<20 })
}
