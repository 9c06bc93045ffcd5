package pgserver

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// attributes put Postgres into a process group of its own, so that a Ctrl-C at the terminal reaches only us, and let
// the kernel end it when the thread that started it ends. SIGQUIT is Postgres' immediate shutdown: it takes its
// backends along and leaves a log to recover from, as a crash would.
func attributes(acct account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT, Credential: acct.credential()}
}

// serves tells whether the process is a Postgres whose working directory is data: that is where a server goes.
func serves(pid int, data string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false // gone, a zombie, or somebody else's
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && cwd == data && strings.Contains(exe, "postgres")
}

// parent gives the parent of a process, 0 if there is no such process.
func parent(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold anything; the state and the parent follow the last one.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(string(fields[1]))
	return ppid
}

// tidy removes the log that embedded-postgres makes in the temporary directory and leaves there, open: it is found by
// our own descriptors, so it is no other process's.
func tidy() {
	open, _ := filepath.Glob("/proc/self/fd/*") // the pattern is right
	for _, fd := range open {
		file, err := os.Readlink(fd)
		if err == nil && strings.HasPrefix(file, filepath.Join(os.TempDir(), "embedded_postgres_log")) {
			_ = os.Remove(file)
		}
	}
}
