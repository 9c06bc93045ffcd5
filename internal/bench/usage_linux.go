package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage sums up the process and all its descendants, by /proc. One that ends meanwhile is left out.
func (p process) usage() (u usage, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return u, fmt.Errorf("usage of process %d: %w", p.pid, err)
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
	for pid := range stats {
		if p.alone && pid != p.pid {
			continue
		}
		for at := pid; at > 1; at = parent[at] {
			if at == p.pid {
				one := usage{}.with(pid, stats[pid])
				if pid != p.pid {
					one.children = one.cpu
				}
				u = usage{u.cpu + one.cpu, u.children + one.children, u.resident + one.resident, u.written + one.written}
				break
			}
		}
	}
	return u, nil
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
	b, err := os.ReadFile(dir + "/io") //nolint:gosec // of the kernel
	if err != nil {
		return u // not ours to read
	}
	if _, after, ok := strings.Cut(string(b), "\nwrite_bytes: "); ok {
		line, _, _ := strings.Cut(after, "\n")
		u.written += int64(number(line))
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
