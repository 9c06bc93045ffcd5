package app

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
)

// spareCollections is GOGC: the heap may grow to five times what is live before it is collected. What a command leaves behind
// is collected once instead of four times, for some hundred megabytes.
const spareCollections = 400

// TradeMemory lets a process that serves use memory instead of collecting garbage: up to half of the machine's, beyond which it
// collects as often as it must. GOGC and GOMEMLIMIT, where given, win.
func TradeMemory() {
	_, percent := os.LookupEnv("GOGC")
	_, limit := os.LookupEnv("GOMEMLIMIT")
	have := memory()
	if percent || limit || have == 0 {
		return
	}
	debug.SetMemoryLimit(have / 2)
	debug.SetGCPercent(spareCollections)
}

// memory is what this process may use, in bytes: the machine's or its control group's. 0 if that is not known.
func memory() int64 {
	var have int64
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, after, _ := bytes.Cut(b, []byte("MemTotal:"))
		line, _, _ := bytes.Cut(after, []byte("kB"))
		kb, _ := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64) // 0: not known
		have = kb << 10
	}
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if most, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64); err == nil && (have == 0 || most < have) { // else "max"
			have = most
		}
	}
	return have
}
