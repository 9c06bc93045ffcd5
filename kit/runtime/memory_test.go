package runtime

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"
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
				if (m.postgres > 0) != postgres || (m.blocks > 0) != events || (m.tables > 0) != events || (m.instances > 0) != sagas {
					t.Fatalf("%d with Postgres %t, with an event store %t, with sagas %t: %+v", target, postgres, events, sagas, m)
				}
				for what, part := range map[string]int64{"keys": m.keys, "states": m.states, "rest": m.rest} {
					if part < 2<<20 {
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
	defer func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) }()
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
	if got, want := debug.SetMemoryLimit(-1), splitMemory(512<<20, true, true, true).collected(); got != want || got > 512<<20 {
		t.Errorf("the limit is %d, want %d", got, want)
	}
	if got := debug.SetGCPercent(100); got != moreBeforeGC {
		t.Errorf("GOGC is %d", got)
	}
}
