//go:build !linux

package pgserver

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// attributes put Postgres into a process group of its own. Nothing ends it when we are killed: the next start finds
// it running and takes it over.
func attributes(acct account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: acct.credential()}
}

// serves tells whether the process is a Postgres that was started on data.
func serves(pid int, data string) bool {
	if !alive(pid) {
		return false
	}
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec,noctx // a number
	return err == nil && strings.Contains(string(out), "postgres") && strings.Contains(string(out), data)
}

// alive tells whether a process or a zombie has this id.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

func parent(int) int { return 0 }

// tidy would remove an empty log that embedded-postgres leaves in the temporary directory.
func tidy() {}
