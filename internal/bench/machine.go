package bench

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine is what was measured on.
type Machine struct {
	OS         string  `json:"os"`
	CPU        string  `json:"cpu"`
	Cores      int     `json:"cores"`
	MemoryGB   float64 `json:"memory_gb"`
	FileSystem string  `json:"file_system"`
	LoadBefore string  `json:"load_before"`
	LoadAfter  string  `json:"load_after"`
	Go         string  `json:"go"`
	Daybook    string  `json:"daybook"`
	Postgres   string  `json:"postgres"`
}

func machine(version, dir string) Machine {
	m := Machine{OS: runtime.GOOS + "/" + runtime.GOARCH, CPU: "unknown CPU", Cores: runtime.NumCPU(), Go: runtime.Version(), Daybook: version, LoadBefore: load()}
	if _, name, ok := strings.Cut(line("/proc/cpuinfo", "model name"), ": "); ok {
		m.CPU = name
	}
	if f := strings.Fields(line("/proc/meminfo", "MemTotal")); len(f) > 1 {
		kb, _ := strconv.ParseFloat(f[1], 64)
		m.MemoryGB = kb / (1 << 20)
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.OS += " " + strings.TrimSpace(string(b))
	}
	m.FileSystem = fileSystem(dir)
	return m
}

func line(file, prefix string) string {
	b, err := os.ReadFile(file) //nolint:gosec // of the kernel
	if err != nil {
		return ""
	}
	for l := range strings.Lines(string(b)) {
		if strings.HasPrefix(l, prefix) {
			return strings.TrimSpace(l)
		}
	}
	return ""
}

// load is the average over the last minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// fileSystem is the type of the longest mount point above a directory.
func fileSystem(dir string) string {
	b, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return "unknown file system"
	}
	best, kind := "", "unknown file system"
	for l := range strings.Lines(string(b)) {
		f := strings.Fields(l)
		if len(f) > 2 && len(f[1]) >= len(best) && strings.HasPrefix(dir+"/", strings.TrimSuffix(f[1], "/")+"/") {
			best, kind = f[1], f[2]
		}
	}
	return kind
}
