package bench

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage sums up the process and all its descendants, by /proc. One that ends meanwhile is left out.
func (p process) usage() (u usage, err error) {
	stats, err := p.family()
	for pid, stat := range stats {
		one := usage{}.with(pid, stat)
		if pid != p.pid {
			one.children = one.cpu
		}
		u = usage{u.cpu + one.cpu, u.children + one.children, u.resident + one.resident}
	}
	return u, err
}

// family gives the line /proc/PID/stat, from the state on, of the process and of all its descendants, unless it is meant alone.
func (p process) family() (map[int][]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("usage of process %d: %w", p.pid, err)
	}
	parent, stats := map[int]int{}, map[int][]string{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		_, rest, ok := strings.Cut(string(b), ") ") // the name before may hold anything
		if f := strings.Fields(rest); ok && len(f) > 15 {
			stats[pid] = f
			parent[pid] = number(f[1])
		}
	}
	maps.DeleteFunc(stats, func(pid int, _ []string) bool {
		if p.alone {
			return pid != p.pid
		}
		at := pid
		for at > 1 && at != p.pid {
			at = parent[at]
		}
		return at != p.pid
	})
	return stats, nil
}

// resident is what the process and its descendants have in memory, in bytes; what several share is divided among them.
func (p process) resident() (all, children int64, err error) {
	stats, err := p.family()
	for pid := range stats {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup") //nolint:gosec // of the kernel
		if err != nil {
			continue
		}
		if _, after, ok := strings.Cut(string(b), "\nPss:"); ok {
			line, _, _ := strings.Cut(after, "kB")
			n := int64(number(strings.TrimSpace(line))) << 10
			if all += n; pid != p.pid {
				children += n
			}
		}
	}
	return all, children, err
}

const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere that Go runs

func (u usage) with(pid int, stat []string) usage {
	for _, f := range stat[11:13] { // utime, stime
		u.cpu += time.Duration(number(f)) * tick
	}
	dir := "/proc/" + strconv.Itoa(pid)
	if b, err := os.ReadFile(dir + "/statm"); err == nil { //nolint:gosec // of the kernel
		if f := strings.Fields(string(b)); len(f) > 2 {
			u.resident += int64(number(f[1])-number(f[2])) * int64(os.Getpagesize())
		}
	}
	return u
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // 0 where /proc has another form
	return n
}

// dies has a child end with us.
func dies() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

func datasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
